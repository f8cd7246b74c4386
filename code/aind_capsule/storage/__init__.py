"""The one S3 client: credentials, requests, checksums, retries. Owner of botocore."""
