#!/bin/sh
# Installs what lies beside it, or takes it away again.
#
#   ./install.sh [--prefix DIR]              default DIR: /usr. DESTDIR, if set, stands before everything, for packagers
#   ./install.sh --uninstall [--prefix DIR]  removes the files that an installation wrote, and nothing else
#
# Data stay: /var/lib/sweep-coordinator, /var/lib/sweep-agent and what systemctl edit wrote are never touched. Nothing is started.
set -eu
prefix=/usr
uninstall=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=${2:?--prefix needs a folder}; shift 2 ;;
    --uninstall) uninstall=1; shift ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0; echo "install: unknown option $1" >&2; exit 2 ;;
  esac
done
case $prefix in /*) ;; *) echo "install: --prefix $prefix must be absolute" >&2; exit 2 ;; esac
root=${DESTDIR:-}$prefix
list=$root/share/sweep/files
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "$uninstall" ]; then
  [ -f "$list" ] || { echo "install: $list is not there: nothing was installed below $root" >&2; exit 1; }
  while IFS= read -r file; do rm -f "$root/$file"; done <"$list"
  rm -f "$list"
  # Folders that are empty now; others stay.
  for folder in share/doc/sweep share/sweep lib/sweep; do rmdir "$root/$folder" 2>/dev/null || true; done
  echo "removed from $root; data in /var/lib/sweep-* are as they were"
  exit 0
fi

files=$(cd "$here" && find bin lib share -type f | LC_ALL=C sort)
mkdir -p "$root/share/sweep"
# Known before it is there, so that an installation that was interrupted can be removed. Files of an older one too.
{ [ ! -f "$list" ] || cat "$list"; printf '%s\n' "$files"; } | LC_ALL=C sort -u >"$list.new"
mv "$list.new" "$list"
printf '%s\n' "$files" | while IFS= read -r file; do
  mkdir -p "$(dirname "$root/$file")"
  mode=644
  [ ! -x "$here/$file" ] || mode=755
  # Beside it, then in its place: a program that runs is not written into.
  cp "$here/$file" "$root/$file.new"
  chmod "$mode" "$root/$file.new"
  # The units name /usr.
  case $file in
    *.service) [ "$prefix" = /usr ] || sed "s|/usr/bin/|$prefix/bin/|; s|/usr/share/|$prefix/share/|" "$here/$file" >"$root/$file.new" ;;
  esac
  mv "$root/$file.new" "$root/$file"
done
echo "installed below $root"
if [ -z "${DESTDIR:-}" ]; then
  cat <<END
next, on the host of the coordinator:  systemctl daemon-reload; make the lab, which prints the admin's first token (without it
                                       whoever is on this host may do everything), then start it:
                                       systemd-run --wait --pipe -p DynamicUser=yes -p User=sweep-coordinator -p StateDirectory=sweep-coordinator \\
                                         $prefix/bin/sweep-coordinator init --data /var/lib/sweep-coordinator --host NAME
                                       systemctl edit sweep-coordinator   # --listen
                                       systemctl enable --now sweep-coordinator
on a host that trains:                 systemd-sysusers; $prefix/share/sweep/libtorch.sh $prefix/lib/libtorch
                                       systemctl edit sweep-agent    # --coordinator, --data
                                       systemctl enable --now sweep-agent; sweep-agent doctor
END
fi
