"""The nouns: jobs, GPUs, slices, leases, arrays. Values without behaviour across rooms."""
