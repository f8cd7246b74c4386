"""The one S3 client: credentials, endpoint, checksums, retries. Owner of boto3."""
