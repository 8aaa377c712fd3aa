#!/bin/sh
# boot.sh PROJECT MODULES NODE LOG
# Becomes systemd as the first process, with a root of its own in which the program lies
# where archives are unpacked, and nothing is started. To be run with mounts and processes of its own: the machine's systemd and files stay as they are.
set -eu
project=$1 modules=$2 node=$3 log=$4
root=$(mktemp -d)
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p dev etc/sysusers.d mnt old opt/layover proc run sys tmp usr var/lib var/log var/tmp
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$name"; done

mount --bind /usr usr
mount -t tmpfs tmpfs usr/lib/systemd/system
mount -t tmpfs tmpfs usr/lib/systemd/system-generators
cp /usr/lib/systemd/system/basic.target /usr/lib/systemd/system/shutdown.target /usr/lib/systemd/system/sysinit.target usr/lib/systemd/system
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >usr/lib/systemd/system/default.target

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev
for name in full null random tty urandom zero; do
  touch "dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs run
touch "$log" mnt/log
mount --bind "$log" mnt/log

echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
touch etc/gshadow etc/gshadow- etc/group- etc/passwd- etc/shadow etc/shadow- etc/.pwd.lock
cp /etc/login.defs etc
echo 00000000000000000000000000000001 >etc/machine-id
mkdir -p etc/systemd/system/layover.service.d
printf '[Service]\nStandardOutput=append:/mnt/log\nStandardError=append:/mnt/log\n' >etc/systemd/system/layover.service.d/log.conf

# As an archive has them: a program that starts a Node which lies beside it.
for name in bin deploy node_modules src; do
  mkdir -p "opt/layover/app/$name"
  mount --bind "$([ "$name" = node_modules ] && echo "$modules" || echo "$project/$name")" "opt/layover/app/$name"
done
cp "$project/package.json" "$project/security-floor.json" opt/layover/app
touch opt/layover/node
mount --bind "$node" opt/layover/node
printf '#!/bin/sh\nexec /opt/layover/node /opt/layover/app/bin/layover.js "$@"\n' >opt/layover/layover
printf '#!/bin/sh\nexec "$@"\n' >mnt/sudo
chmod 755 opt/layover/layover mnt/sudo

pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin systemd --system --log-target=null --show-status=0
