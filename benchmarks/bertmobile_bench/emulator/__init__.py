"""An emulated arm64 Linux device that the real ``adb`` reaches: no phone, and none of its speed."""

# What a device has unless told otherwise; here, where --help finds it at once.
MEMORY_MIB = 2048
CORES = 2
