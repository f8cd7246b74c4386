"""Results to S3: a tree of files becomes a data asset that is visible only when it is whole."""
