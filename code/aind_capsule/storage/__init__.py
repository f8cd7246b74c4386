"""The one S3 client: credentials, endpoint, checksums, retries. Owner of botocore, boto3's core."""
