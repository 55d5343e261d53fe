# What a device says of itself, KEY=VALUE a line; what it does not know stays empty. For Android's shell and for sh.
say() { printf '%s=%s\n' "$1" "$2"; }
property() { getprop "$1" 2>/dev/null; }
service() { dumpsys "$1" 2>/dev/null; }
file() { cat "$1" 2>/dev/null; }

say android "$(property ro.build.version.release)"
say model "$(property ro.product.manufacturer) $(property ro.product.model)"
say soc "$(property ro.soc.manufacturer) $(property ro.soc.model)"
say serial "$(property ro.serialno)"
say fingerprint "$(property ro.build.fingerprint)"
say abi "$(property ro.product.cpu.abi)"
say qemu "$(property ro.boot.qemu)$(property ro.kernel.qemu)"
# QEMU's own board, which no one can buy.
say board "$(file /proc/device-tree/compatible | tr '\0' ' ')"
say machine "$(uname -m)"
say kernel "$(uname -r)"
say hostname "$(uname -n)"
say cpu "$(grep -m 1 '^model name' /proc/cpuinfo | cut -d: -f2)"
say cores "$(grep -c '^processor' /proc/cpuinfo)"
say memory_kb "$(grep '^MemTotal' /proc/meminfo | tr -dc 0-9)"
say governor "$(file /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
say frequency_khz "$(file /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq)"
say load "$(file /proc/loadavg | cut -d' ' -f1)"
say temperature "$(cat /sys/class/thermal/thermal_zone*/temp 2>/dev/null | sort -n | tail -n 1)"
say battery "$(service battery | grep -m 1 '^ *level:' | tr -dc 0-9)"
say thermal "$(service thermalservice | grep -m 1 '^Thermal Status:' | tr -dc 0-9)"
say wakefulness "$(service power | grep -m 1 mWakefulness= | cut -d= -f2)"
