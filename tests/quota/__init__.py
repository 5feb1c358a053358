"""Project quotas on a kernel that has them: `make test-quota` boots one under qemu."""
