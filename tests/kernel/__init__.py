"""What needs a kernel that this machine may not have: `make test-kernel` boots one under qemu."""
