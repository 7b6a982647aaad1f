# Takes up what our targets left on d0 to d3, and says what the devices hold.
. /lib/guest.sh
modprobe -qa dm-mod dm-snapshot dm-mirror dm-writecache dm-flakey
A=$(disk d0)
B=$(disk d1)
C=$(disk d2)
D=$(disk d3)
look() { # look NAME TABLE
  run dmsetup create "$1" --table "$2"
  sleep 1
  dmsetup status "$1"
  sha256sum "/dev/mapper/$1"
  dmsetup remove "$1"
}
look snap "0 2048 snapshot $A $B P 8"
look cache "0 2048 writecache s $A $C 4096 0"
look str "0 2048 striped 2 64 $C 16384 $D 16384"
look mir "0 2048 mirror disk 2 $D 64 2 $C 20480 $B 20480"
# Flakey devices that are never up: writes are dropped, corrupted or refused. (Linux 6.1 does not
# corrupt reads, whatever it is told.)
flakey() { # flakey FEATURE...: zeros are written, and what is there then is read
  run dmsetup create bad --table "0 2048 flakey $A 0 0 1000 $*"
  dd if=/dev/zero of=/dev/mapper/bad bs=4096 count=16 oflag=direct 2>&1 | grep -o 'rror' | head -n 1
  dd if=/dev/mapper/bad bs=4096 count=16 iflag=direct 2>/dev/null | sha256sum
  dmsetup remove bad
}
flakey 1 drop_writes
flakey 1 error_writes
flakey 5 corrupt_bio_byte 32 w 7 0
