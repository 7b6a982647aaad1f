. /lib/guest.sh
modprobe -qa dm-mod dm-snapshot dm-mirror dm-zero dm-delay dm-flakey dm-writecache dm-log-writes
set +e
A=$(disk d0)
B=$(disk d1)
C=$(disk d2)
D=$(disk d3)
try() { # says a command, what it prints, how it ends and what the kernel says
  dmesg -c >/dev/null
  echo "\$ $*" | sed "s,$A,A,g; s,$B,B,g; s,$C,C,g; s,$D,D,g"
  "$@" 2>&1
  echo "= $?"
  dmesg | sed 's/^\[[^]]*\] */K /' | grep device-mapper
}
create() { # create NAME TABLE...: a device of lines
  name=$1; shift
  try dmsetup create "$name" --table "$(printf '%s\n' "$@")"
}
show() { for verb in table status; do try dmsetup $verb "$1"; done; }
gone() { try dmsetup remove "$1"; }
ls -l $A $B $C $D
try dmsetup version
try dmsetup targets
echo "## linear"
create lin "0 100 linear $A 8" "100 50 linear $B 0"
show lin
try dmsetup info lin
try dmsetup info -c lin
try dmsetup deps lin
try dmsetup deps -o devname lin
try dmsetup ls
try dmsetup ls --target linear
try dmsetup ls --tree
try dmsetup load lin --table "0 200 linear $A 0"
try dmsetup info lin
try dmsetup table --inactive lin
try dmsetup clear lin
try dmsetup load lin --table "0 200 linear $A 0"
try dmsetup suspend lin
try dmsetup info lin
try dmsetup suspend lin
try dmsetup resume lin
try dmsetup resume lin
try dmsetup info lin
show lin
try dmsetup rename lin lin2
try dmsetup rename --setuuid lin2 some-uuid
try dmsetup rename --setuuid lin2 other-uuid
try dmsetup info lin2
try dmsetup message lin2 0 hello
try dmsetup message lin2 0 @x
try dmsetup message lin2 99999 hello
gone lin
create lin2 "0 10 linear $A 0"
create up "0 10 linear /dev/mapper/lin2 0"
try dmsetup info lin2
try dmsetup deps up
gone lin2
try dmsetup remove --deferred lin2
try dmsetup info lin2
gone up
try dmsetup ls
try dmsetup load lin2 --table "0 10 linear /dev/mapper/lin2 0"
create self1 "0 8 linear $A 0"
create self2 "0 8 linear /dev/mapper/self1 0"
try dmsetup ls --tree
gone self2
gone self1
try dmsetup create nn --notable
try dmsetup info nn
show nn
try dmsetup resume nn
try dmsetup suspend nn
gone nn
create dup1 "0 8 linear $A 0"
create dup1 "0 8 linear $A 0"
try dmsetup create dup2 -u uu --table "0 8 linear $A 0"
try dmsetup create dup3 -u uu --table "0 8 linear $A 0"
try dmsetup rename dup1 dup2
try dmsetup rename dup1 dup1
try dmsetup info -c
gone dup1
gone dup2
echo "## errors"
bad() { create bad "$@"; dmsetup remove bad >/dev/null 2>&1; }
bad ""
bad "0 10 linear $A"
bad "0 10 linear $A 0 extra"
bad "0 10 linear $A x"
bad "0 10 linear $A -1"
bad "0 10 linear $A 0x10"
bad "0 10 linear $A 10 10"
bad "0 0 linear $A 0"
bad "0 -1 linear $A 0"
bad "0 10 linear /dev/nothing 0"
bad "0 10 linear 7:77 0"
bad "0 10 linear $A 99999999"
bad "0 99999999 linear $A 0"
bad "5 10 linear $A 0"
bad "0 10 linear $A 0" "20 10 linear $A 0"
bad "0 10 linear $A 0" "5 10 linear $A 0"
bad "10 10 linear $A 0" "0 10 linear $A 0"
bad "0 10 nonsense $A 0"
bad "0 10"
bad "0 10 linear"
bad "a b linear $A 0"
bad "0 10 striped"
bad "0 16 striped 0 8 $A 0"
bad "0 16 striped 2 8 $A 0"
bad "0 16 striped 2 8 $A 0 $B"
bad "0 16 striped 2 0 $A 0 $B 0"
bad "0 17 striped 2 8 $A 0 $B 0"
bad "0 18 striped 2 8 $A 0 $B 0"
bad "0 16 striped x 8 $A 0 $B 0"
bad "0 16 striped 2 y $A 0 $B 0"
bad "0 16 striped 2 8 $A z $B 0"
bad "0 16 striped 2 8 $A 0 /dev/nothing 0"
bad "0 24 striped 2 12 $A 0 $B 0"
bad "0 16 zero 1"
bad "0 16 error 1"
bad "0 16 flakey $A 0 1"
bad "0 16 flakey $A 0 0 0"
bad "0 16 flakey $A 0 x 0"
bad "0 16 flakey $A 0 1 1 1 nonsense"
bad "0 16 flakey $A 0 1 1 2 drop_writes error_writes"
bad "0 16 flakey $A 0 1 1 1 corrupt_bio_byte"
bad "0 16 flakey $A 0 1 1 5 corrupt_bio_byte 0 r 1 0"
bad "0 16 flakey $A 0 1 1 5 corrupt_bio_byte 1 q 1 0"
bad "0 16 flakey $A 0 1 1 5 corrupt_bio_byte 1 r 256 0"
bad "0 16 flakey $A 0 1 1 6 drop_writes corrupt_bio_byte 1 w 1 0"
bad "0 16 flakey $A 0 1 1 2 drop_writes drop_writes"
bad "0 16 flakey $A 0 1 1 1 drop_writes more"
bad "0 16 delay $A 0"
bad "0 16 delay $A 0 5 $B"
bad "0 16 delay $A 0 x"
bad "0 16 delay $A 0 -5"
bad "0 16 log-writes $A"
bad "0 16 log-writes $A /dev/nothing"
bad "0 16 log-writes $A $B x"
bad "0 64 mirror"
bad "0 64 mirror core 1 8 2 $A 0"
bad "0 64 mirror core 1 7 2 $A 0 $B 0"
bad "0 64 mirror core 2 8 maybe 2 $A 0 $B 0"
bad "0 64 mirror nonsense 1 8 2 $A 0 $B 0"
bad "0 64 mirror core 1 8 0"
bad "0 64 mirror core 1 8 1 $A 0"
bad "0 64 mirror core 1 8 2 $A 0 $B 0 1 nonsense"
bad "0 64 mirror disk 1 8 2 $A 0 $B 0"
bad "0 64 snapshot $A $B P"
bad "0 64 snapshot $A $B X 8"
bad "0 64 snapshot $A $B P 7"
bad "0 64 snapshot $A $B P 0"
bad "0 64 snapshot $A $A P 8"
bad "0 64 snapshot $A /dev/nothing P 8"
bad "0 64 snapshot $A $B P 8 1 nonsense"
bad "0 64 snapshot-origin $A 0"
bad "0 64 writecache s $A $B 4096"
bad "0 64 writecache x $A $B 4096 0"
bad "0 64 writecache s $A $B 4095 0"
bad "0 64 writecache s $A $B 256 0"
bad "0 64 writecache s $A $B 4096 1 nonsense"
bad "0 64 writecache s $A $B 4096 2 high_watermark 101"
bad "0 64 writecache s $A $B 4096 4 high_watermark 10 low_watermark 20"
bad "0 64 writecache s $A $B 4096 1 fua"
bad "0 64 writecache s $A $B 4096 0 more"
echo "## striped"
create str "0 384 striped 3 16 $A 0 $B 100 $C 200"
show str
awk 'BEGIN { for (i = 0; i < 384; i++) printf "%-511s\n", "striped sector " i }' | dd of=/dev/mapper/str bs=512 conv=fsync 2>/dev/null
try dmsetup info -c -o name,major,minor,open,segments,events,attr str
try dmsetup ls --tree
gone str
for disk in A B C; do eval "node=\$$disk"; dd if=$node of=/out/striped-$disk bs=512 count=400 2>/dev/null; done
echo "## simple"
create z "0 128 zero"
show z
try dd if=/dev/mapper/z bs=512 count=1 of=/dev/null status=none
gone z
create e "0 128 error"
show e
try dd if=/dev/mapper/e bs=512 count=1 of=/dev/null status=none
gone e
create f "0 128 flakey $A 0 1 0" "128 128 flakey $A 128 0 1 1 error_writes" "256 128 flakey $A 0 2 3 1 drop_writes" "384 128 flakey $A 0 1 9 5 corrupt_bio_byte 32 r 1 0" "512 128 flakey $A 0 1 9 5 corrupt_bio_byte 224 w 0 32"
show f
gone f
awk 'BEGIN { for (i = 0; i < 64; i++) printf "%-511s\n", "flakey sector " i }' | dd of=$A bs=512 conv=fsync 2>/dev/null
create f "0 64 flakey $A 0 0 9 5 corrupt_bio_byte 32 r 1 0"
dd if=/dev/mapper/f of=/out/flakey-read bs=8192 count=2 iflag=direct 2>/dev/null
gone f
create f "0 64 flakey $A 0 0 9 5 corrupt_bio_byte 700 w 90 0"
yes "to flakey" | dd of=/dev/mapper/f bs=4096 count=2 seek=1 oflag=direct 2>/dev/null
gone f
create f "0 64 flakey $A 0 0 9 1 drop_writes"
yes "dropped" | dd of=/dev/mapper/f bs=4096 count=1 oflag=direct 2>/dev/null
try dd if=/dev/mapper/f bs=4096 count=1 of=/dev/null iflag=direct status=none
gone f
create f "0 64 flakey $A 0 0 9 1 error_writes"
try dd if=/dev/zero of=/dev/mapper/f bs=4096 count=1 oflag=direct status=none
try dd if=/dev/mapper/f bs=4096 count=1 of=/dev/null iflag=direct status=none
gone f
create f "0 64 flakey $A 0 0 9"
try dd if=/dev/zero of=/dev/mapper/f bs=4096 count=1 oflag=direct status=none
try dd if=/dev/mapper/f bs=4096 count=1 of=/dev/null iflag=direct status=none
gone f
dd if=$A of=/out/flakey-written bs=512 count=64 2>/dev/null
create dl "0 128 delay $A 0 50" "128 128 delay $A 0 50 $B 8 100" "256 128 delay $A 0 50 $B 8 100 $C 16 0"
show dl
gone dl
echo "## mirror"
create m "0 1024 mirror core 1 128 2 $A 0 $B 0"
sleep 1
show m
try dmsetup info m
gone m
create m "0 1024 mirror core 2 128 nosync 3 $A 0 $B 64 $C 0 1 handle_errors"
show m
gone m
dd if=/dev/zero of=$D bs=64k count=16 2>/dev/null
create m "0 1024 mirror disk 2 $D 128 2 $A 2048 $B 2048 1 handle_errors"
sleep 1
show m
yes mirror | dd of=/dev/mapper/m bs=4096 count=2 seek=3 conv=fsync 2>/dev/null
sleep 1
try dmsetup status m
dd if=$D of=/out/mirror-log bs=512 count=64 2>/dev/null
gone m
dd if=$D of=/out/mirror-log2 bs=512 count=64 2>/dev/null
create m "0 1024 mirror disk 3 $D 128 nosync 2 $A 2048 $B 2048 1 handle_errors"
show m
gone m
echo "## log-writes"
dd if=/dev/zero of=$D bs=64k count=16 2>/dev/null
create l "0 2048 log-writes $A $D"
show l
yes log | dd of=/dev/mapper/l bs=4096 count=2 seek=3 conv=fsync 2>/dev/null
try dmsetup message l 0 mark first
try dmsetup message l 0 mark
try dmsetup message l 0 other x
yes more | dd of=/dev/mapper/l bs=4096 count=1 seek=9 oflag=direct,sync 2>/dev/null
yes more | dd of=/dev/mapper/l bs=512 count=1 seek=99 oflag=direct 2>/dev/null
blkdiscard -o 65536 -l 32768 /dev/mapper/l
try dmsetup status l
gone l
dd if=$D of=/out/log-writes bs=4096 count=64 2>/dev/null
echo "## snapshot"
awk 'BEGIN { for (i = 0; i < 2048; i++) printf "%-511s\n", "origin sector " i }' | dd of=$A bs=512 conv=fsync 2>/dev/null
dd if=/dev/zero of=$B bs=64k count=64 2>/dev/null
create base "0 2048 linear $A 0"
create snap "0 2048 snapshot /dev/mapper/base $B P 8"
create orig "0 2048 snapshot-origin /dev/mapper/base"
show snap
show orig
for chunk in 3 4 5 200 7; do yes "to the origin" | dd of=/dev/mapper/orig bs=4096 count=1 seek=$chunk oflag=direct conv=fsync 2>/dev/null; done
for chunk in 5 100 101 9; do yes "to the snapshot" | dd of=/dev/mapper/snap bs=4096 count=1 seek=$chunk oflag=direct conv=fsync 2>/dev/null; done
yes part | dd of=/dev/mapper/snap bs=512 count=1 seek=400 oflag=direct conv=fsync 2>/dev/null
try dmsetup status snap
try dmsetup status orig
dd if=/dev/mapper/snap of=/out/snapshot-view bs=64k 2>/dev/null
gone orig
gone snap
dd if=$A of=/out/snapshot-origin bs=4096 count=256 iflag=direct 2>/dev/null
dd if=$B of=/out/snapshot-cow bs=4096 count=64 2>/dev/null
create merge "0 2048 snapshot-merge /dev/mapper/base $B P 8"
sleep 2
show merge
gone merge
dd if=$A of=/out/merge-origin bs=4096 count=256 iflag=direct 2>/dev/null
dd if=$B of=/out/merge-cow bs=4096 count=64 2>/dev/null
dd if=/dev/zero of=$B bs=64k count=64 2>/dev/null
create cow "0 128 linear $B 0"
create snap "0 2048 snapshot /dev/mapper/base /dev/mapper/cow PO 8"
create orig "0 2048 snapshot-origin /dev/mapper/base"
show snap
yes "overflow" | dd of=/dev/mapper/orig bs=4096 count=40 oflag=direct conv=fsync 2>/dev/null
show snap
try dd if=/dev/mapper/snap bs=4096 count=1 of=/dev/null status=none
gone orig
gone snap
dd if=$B of=/out/overflow-cow bs=4096 count=16 2>/dev/null
create snap "0 2048 snapshot /dev/mapper/base /dev/mapper/cow P 8"
show snap
gone snap
gone cow
dd if=/dev/zero of=$B bs=64k count=64 2>/dev/null
create snap "0 2048 snapshot /dev/mapper/base $B N 16 1 discard_zeroes_cow"
yes "to the snapshot" | dd of=/dev/mapper/snap bs=4096 count=3 seek=5 oflag=direct conv=fsync 2>/dev/null
show snap
gone snap
dd if=$B of=/out/transient-cow bs=4096 count=16 2>/dev/null
gone base
echo "## writecache"
dd if=/dev/zero of=$B bs=64k count=64 2>/dev/null
create wc "0 2048 writecache s $A $B 4096 0"
show wc
yes "cached" | dd of=/dev/mapper/wc bs=4096 count=3 seek=5 oflag=direct conv=fsync 2>/dev/null
yes "again" | dd of=/dev/mapper/wc bs=4096 count=1 seek=6 oflag=direct conv=fsync 2>/dev/null
yes "uncommitted" | dd of=/dev/mapper/wc bs=4096 count=1 seek=9 oflag=direct 2>/dev/null
try dmsetup status wc
dd if=$B of=/out/writecache-busy bs=4096 count=64 2>/dev/null
try dmsetup message wc 0 nonsense
try dmsetup message wc 0 flush more
try dmsetup suspend wc
dd if=$B of=/out/writecache-suspended bs=4096 count=64 2>/dev/null
try dmsetup resume wc
try dmsetup message wc 0 flush
try dmsetup status wc
dd if=$B of=/out/writecache-flushed bs=4096 count=64 2>/dev/null
gone wc
dd if=/dev/zero of=$B bs=64k count=64 2>/dev/null
create wc "0 2048 writecache s $A $B 4096 18 start_sector 64 high_watermark 60 low_watermark 40 writeback_jobs 7 autocommit_blocks 3 autocommit_time 2000 max_age 10000 pause_writeback 100 metadata_only cleaner"
show wc
gone wc
create wc "0 2048 writecache s $A $B 512 0"
dd if=/dev/zero of=$B bs=64k count=64 2>/dev/null
create wc "0 2048 writecache s $A $B 512 0"
show wc
yes "small" | dd of=/dev/mapper/wc bs=512 count=3 seek=5 oflag=direct conv=fsync 2>/dev/null
dd if=$B of=/out/writecache-small bs=4096 count=200 2>/dev/null
try dmsetup status wc
dd if=/dev/mapper/wc of=/dev/null bs=512 skip=4 count=3 iflag=direct 2>/dev/null
try dmsetup status wc
blkdiscard -o 2560 -l 512 /dev/mapper/wc
try dmsetup status wc
try dmsetup message wc 0 clear_stats
try dmsetup status wc
try dmsetup message wc 0 flush_on_suspend
try dmsetup message wc 0 cleaner
try dmsetup status wc
try dmsetup table wc
gone wc
pmem_modules
ls /dev/pmem*
if [ -e /dev/pmem0 ]; then
  P=/dev/pmem0
  dd if=/dev/zero of=$P bs=64k count=64 2>/dev/null
  create wc "0 2048 writecache p $A $P 4096 0"
  show wc
  yes "cached" | dd of=/dev/mapper/wc bs=4096 count=3 seek=5 oflag=direct conv=fsync 2>/dev/null
  yes "again" | dd of=/dev/mapper/wc bs=4096 count=1 seek=6 oflag=direct conv=fsync 2>/dev/null
  yes "uncommitted" | dd of=/dev/mapper/wc bs=4096 count=1 seek=9 oflag=direct 2>/dev/null
  try dmsetup status wc
  dd if=$P of=/out/writecache-pmem bs=4096 count=64 2>/dev/null
  try dmsetup message wc 0 flush
  try dmsetup status wc
  gone wc
  create px "0 2048 linear $P 0"
  cat /sys/block/dm-*/queue/dax
  try dmsetup load px --table "0 2048 zero"
  try dmsetup load px --table "0 2048 linear $A 0"
  gone px
  create px "0 2048 zero"
  try dmsetup load px --table "0 2048 linear $P 0"
  try dmsetup resume px
  gone px
fi
gzip /out/flakey-* /out/striped-* /out/mirror-* /out/log-* /out/snap* /out/merge* /out/over* /out/tran* /out/write*
exit 0
