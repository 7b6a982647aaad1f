# Replaces a file by a new one, and says so. HOW: bare; file (is synced); whole (and its directory).
#   daxkit prove --mount-fuse DIR --setup 'sh replace.sh setup' --check 'sh replace.sh check' \
#     -- sh replace.sh whole
cd "$DAXKIT_MOUNT" || exit
case $1 in
setup) echo old >file ;;
check)
  found=$(cat file) || exit
  case $DAXKIT_ACKED-$found in
  0-old | ?-new) ;;
  *) echo "file holds '$found', and $DAXKIT_ACKED promises were made" && exit 1 ;;
  esac
  ;;
*)
  echo new >temporary
  [ "$1" = bare ] || sync temporary
  mv temporary file
  [ "$1" != whole ] || sync .
  echo "ack replaced"
  ;;
esac
