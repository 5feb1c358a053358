"""Jobs, arrays, layouts and slices as the API shows them to one caller."""
