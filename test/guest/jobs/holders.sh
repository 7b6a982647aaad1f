# Does each line of /job/steps: `do VERB DEVICE [HOW]` and `undo` the same, or `try` it: whether it
# goes, and undone at once. /out/seen has how each try ended. d0 is A, d1 is D with partitions P, Q.
. /lib/guest.sh
modprobe -qa dm-mod ext4
set +e
A=$(disk d0)
D=$(disk d1)
node_of() {
  case $1 in A) echo "$A" ;; D) echo "$D" ;; P) echo "${D}1" ;; Q) echo "${D}2" ;; *) echo "/dev/mapper/$1" ;; esac
}
map() { # map DEVICE NAME: by a process that sits on it
  { echo 'mmap 0 4k'; sleep 600; } | xfs_io "$1" >/dev/null 2>&1 &
  for round in $(seq 1 100); do
    for process in /proc/[0-9]*; do
      if grep -qs " $1\$" "$process/maps"; then
        case " $mapping " in *" ${process##*/} "*) continue ;; esac
        mapping="$mapping ${process##*/}"
        echo "${process##*/}" >"/tmp/$2"
        return 0
      fi
    done
    sleep 0.1
  done
  return 1
}
act() { # act NAME VERB DEVICE HOW; the other mount tries again to read only
  case $2 in
    mount) mkdir -p "/mnt/$1" && busybox mount -t ext4 -o "$4" "$(node_of "$3")" "/mnt/$1" ;;
    table) dmsetup create "$1" --table "0 8192 linear $(node_of "$3") 0" ;;
    map) map "$(node_of "$3")" "$1" ;;
    mkfs) mke2fs -q -t ext4 "$(node_of "$3")" </dev/null ;;
    tune) tune2fs -L other "$(node_of "$3")" ;;
    rescan) busybox blockdev --rereadpt "$(node_of "$3")" ;;
    remove) dmsetup remove "$3" ;;
  esac
}
unact() { # unact NAME VERB
  case $2 in
    mount) umount "/mnt/$1" ;;
    table) dmsetup remove "$1" ;;
    map) kill "$(cat "/tmp/$1")"; while [ -e "/proc/$(cat "/tmp/$1")" ]; do sleep 0.1; done ;;
  esac
}
while read -r how verb device more; do
  echo "## $how $verb $device $more"
  case $how in
    do) act "on$device" "$verb" "$device" "$more" || echo "failed: $verb $device $more" >>/out/seen ;;
    undo) unact "on$device" "$verb" || echo "failed: undo $verb $device" >>/out/seen ;;
    try)
      if act try "$verb" "$device" "$more"; then
        echo "$verb $device $more: goes" >>/out/seen
        unact try "$verb"
      else
        echo "$verb $device $more: busy" >>/out/seen
      fi
      ;;
  esac
done </job/steps
