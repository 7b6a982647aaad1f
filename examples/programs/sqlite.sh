# Three transactions of SQLite, each promised when it is committed.
#   daxkit prove --mount-fuse DIR --setup 'sh sqlite.sh setup wal' --check 'sh sqlite.sh check' \
#     -- sh sqlite.sh run wal normal
# With `sound` instead of `check` the database has to be sound and of some moment, and may be old.
database=$DAXKIT_MOUNT/database
case $1 in
setup)
  exec sqlite3 "$database" "PRAGMA journal_mode = $2; CREATE TABLE t (k INTEGER PRIMARY KEY, v UNIQUE)"
  ;;
run)
  exec sqlite3 "$database" <<EOF
.bail on
PRAGMA journal_mode = $2;
PRAGMA synchronous = $3;
INSERT INTO t VALUES (1, 'one');
.print ack 1
INSERT INTO t VALUES (2, 'two');
.print ack 2
UPDATE t SET v = 'three' WHERE k = 1;
.print ack 3
EOF
  ;;
esac

[ -e "$database" ] || { echo "there is no database" && exit 1; }
# Opening it recovers it: SQLite plays a hot journal back, or reads its log.
state=$(sqlite3 "$database" "PRAGMA integrity_check; SELECT k || v FROM t ORDER BY k" 2>&1) ||
  { echo "$state" && exit 1; }
least=$DAXKIT_ACKED
[ "$1" = check ] || least=0
case "$(echo $state)" in
"ok") made=0 ;;
"ok 1one") made=1 ;;
"ok 1one 2two") made=2 ;;
"ok 1three 2two") made=3 ;;
*) echo "no moment was like this:" $state && exit 1 ;;
esac
[ "$made" -ge "$least" ] ||
  { echo "$made of $DAXKIT_ACKED promised transactions are there" && exit 1; }
