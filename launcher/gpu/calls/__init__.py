"""NVML's functions, one each: a return code becomes a value or an exception."""
