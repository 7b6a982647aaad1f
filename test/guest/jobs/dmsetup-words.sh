# Runs the command lines of /job/commands, and says after each what dmsetup and the kernel said.
#
#   ? TABLE              is tried: a device is made of it, looked at and removed
#   WORDS... [<<< TEXT]  is a command of dmsetup, with words as a shell has them, and its input
#
# %A to %D are disks and ^ ends a line of a table. Printed are lines of output with "| " in front, of
# errors with "! ", of the kernel's log with "K ", and the exit status.
. /lib/guest.sh
modprobe -qa dm-mod dm-snapshot dm-mirror dm-zero dm-delay dm-flakey dm-writecache dm-log-writes
set +e
A=$(disk d0)
B=$(disk d1)
C=$(disk d2)
D=$(disk d3)
lines_of() { tr '^' '\n' | sed "s,%A,$A,g; s,%B,$B,g; s,%C,$C,g; s,%D,$D,g"; }
call() { # call DMSETUP'S WORDS: with the input of this function
  dmesg -c >/dev/null
  timeout 10 dmsetup "$@" >/tmp/out 2>/tmp/err
  status=$?
  sed 's/^/| /' /tmp/out
  # Without lists of all commands and of all fields.
  sed '/^Usage:$/,$d; /^[A-Z][A-Za-z ]* Fields$/d; /^-*$/d; /^ /d; s/^/! /' /tmp/err
  echo "= $status"
  dmesg | sed 's/^\[[^]]*\] */K /' | grep device-mapper
  return $status
}
while IFS= read -r line; do
  case $line in
  "" | "#"*) echo "$line" && continue ;;
  esac
  echo "\$ $line"
  case $line in
  "? "*)
    case $line in *%[BD]*) for node in $B $C $D; do dd if=/dev/zero of=$node bs=256k count=1 2>/dev/null; done ;; esac
    if call create probe --table "$(printf '%s\n' "${line#? }" | lines_of)" </dev/null; then
      call table probe </dev/null
      call status probe </dev/null
      call deps probe </dev/null
    fi
    dmsetup remove probe >/dev/null 2>&1
    ;;
  *)
    printf '%s\n' "$line" | sed -n 's/.* <<< //p' | lines_of >/tmp/in
    eval "set -- $(printf '%s\n' "${line%% <<< *}" | lines_of)"
    call "$@" </tmp/in
    ;;
  esac
done </job/commands
exit 0
