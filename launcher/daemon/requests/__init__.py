"""The wire's types to the core's: what requests and starts of attempts both stand on."""
