#!/bin/bash
# The first process of the guest, whose root folder is the host's: an NFS server, two clients of it, then a command.
#
# The kernel's command line has LAB, a folder for the two sides to meet in:
#   LAB/command   read: what to run; empty for nothing but a look whether a guest comes up at all
#   LAB/booted    made as soon as the command is about to start
#   LAB/output    what the command wrote
#   LAB/status    its exit status, there once it has ended
#
# The mounts A and B of each version are two clients, as two hosts would be: they share no cache (nosharecache), and to
# the server they are two, which takes another address and another host name. Else it would hand to both what it lends
# to one alone: with NFS 4, the promise to tell when a file changes.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc proc /proc
LAB=$(tr ' ' '\n' < /proc/cmdline | sed -n 's/^LAB=//p')

start_system() {
  mount -t sysfs sysfs /sys
  mount -t tmpfs run /run
  mount -t devtmpfs dev /dev
  mkdir -p /dev/shm /dev/pts
  mount -t tmpfs shm /dev/shm
  mount -t devpts devpts /dev/pts
  ip link set lo up
  # Modules are indexed in a copy: the host's folder stays as it is.
  mkdir -p /run/kernel/lib/modules
  cp -r "/usr/lib/uml/modules/$(uname -r)" /run/kernel/lib/modules/
  depmod -b /run/kernel
  for module in nfsd nfs nfsv3 nfsv4 lockd; do modprobe -d /run/kernel "$module"; done
}

start_server() {
  mount -t tmpfs state /var/lib/nfs
  mkdir -p /var/lib/nfs/{rpc_pipefs,v4recovery,sm,sm.bak} /run/rpcbind
  touch /var/lib/nfs/{etab,rmtab,state}
  chown -R statd /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/state
  mount -t nfsd nfsd /proc/fs/nfsd
  mount -t rpc_pipefs rpc /var/lib/nfs/rpc_pipefs
  mkdir -p /run/export
  mount /dev/ubda /run/export
  chmod 1777 /run/export
  rpcbind -w
  rpc.statd --no-notify
  exportfs -o rw,no_root_squash,no_subtree_check,fsid=0,insecure 127.0.0.0/8:/run/export
  rpc.nfsd --lease-time 10 --grace-time 10 8
  rpc.mountd --num-threads 2
}

start_clients() {
  mkdir -p /run/nfs{4,3}{a,b}
  for client in a b; do
    [ $client = a ] && server=127.0.0.1 || server=127.0.0.2
    hostname host-$client
    mount -t nfs4 -o vers=4.2,proto=tcp,nosharecache $server:/ /run/nfs4$client
    mount -t nfs -o vers=3,proto=tcp,nosharecache $server:/run/export /run/nfs3$client
  done
  export NFS4_A=/run/nfs4a NFS4_B=/run/nfs4b NFS3_A=/run/nfs3a NFS3_B=/run/nfs3b EXPORT=/run/export TMPDIR=/run
  [ "$(grep -c '^127[.0-9]*:' /proc/mounts)" = 4 ]
}

if [ ! -s "$LAB/command" ]; then
  touch "$LAB/booted"
elif { start_system && start_server && start_clients; } > "$LAB/boot" 2>&1; then
  touch "$LAB/booted"
  bash "$LAB/command" > "$LAB/output" 2>&1 < /dev/null
  echo $? > "$LAB/status.new"
  mv "$LAB/status.new" "$LAB/status"
fi
sync
poweroff -f
