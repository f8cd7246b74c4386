"""One `DataProcess`: the forms that it has had."""
