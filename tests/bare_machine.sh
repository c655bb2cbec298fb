#!/usr/bin/env bash
# The bare-machine proof: the README's two commands on a Debian 12 that has git and nothing else.
#
#   tests/bare_machine.sh [--cases root,sudo,plain] [--work DIR] [--ca-certificates FILE] [--keep]
#
# Makes a minimal Debian 12 root with debootstrap, then for each case a fresh copy of it with a fresh clone of the
# committed state of this repository, and runs `./lab reproduce` and `./lab test` in it
#   root   as root,
#   sudo   as a user who may use sudo (the package sudo is added),
#   plain  as a user who may not: expects exit 2 and the exact apt line, runs that line as root, and expects the user's
#          second try to succeed.
# FILE is a certificate (PEM) to trust, for networks behind a TLS-inspecting proxy; it is put where Debian looks for
# local certificates, as the administrator of such a machine would. Needs root, debootstrap, the network and about 8 GB in
# DIR (default: a temporary folder). Prints the times and sizes that docs/install.md quotes.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cases=root,sudo,plain
work=
ca_certificates=
keep=false
while (($#)); do
  case $1 in
    --cases) cases=$2; shift 2 ;;
    --work) work=$2; shift 2 ;;
    --ca-certificates) ca_certificates=$2; shift 2 ;;
    --keep) keep=true; shift ;;
    *) echo "bare_machine.sh: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
((EUID == 0)) || { echo "bare_machine.sh: needs root (debootstrap, chroot)" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "bare_machine.sh: needs debootstrap: apt-get install debootstrap" >&2; exit 2; }
[[ -z $ca_certificates || -r $ca_certificates ]] || { echo "bare_machine.sh: cannot read '$ca_certificates'" >&2; exit 2; }

work=${work:-$(mktemp -d)}
mkdir -p "$work"
mounted=()
clean_up() {
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount -l "${mounted[i]}" || true; done
  if ! $keep; then rm -rf --one-file-system "$work"/case-*; fi
}
trap clean_up EXIT

say() { printf '== %s\n' "$*"; }

# The base: minbase and git, once.
base=$work/base.tar
if [[ ! -e $base ]]; then
  say "debootstrap: Debian 12 minbase and git"
  rm -rf "$work/base"
  debootstrap --variant=minbase --include=git bookworm "$work/base" >"$work/debootstrap.log"
  rm -f "$work"/base/var/cache/apt/archives/*.deb
  tar -C "$work/base" -cf "$base.partial" . && mv "$base.partial" "$base"
  rm -rf "$work/base"
fi
say "base: $(du -h "$base" | cut -f1)"

# in_root ROOT USER COMMAND: runs a shell command in the clone as USER with a login's environment only.
in_root() {
  local root=$1 user=$2 command=$3
  chroot "$root" /usr/bin/env -i HOME="$(chroot "$root" getent passwd "$user" | cut -d: -f6)" USER="$user" \
    LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --reuid="$user" --regid="$user" --init-groups bash -c "cd ~/sharpseek && $command" </dev/null
}

timed() {
  local name=$1 start=$SECONDS
  shift
  "$@" || { echo "bare_machine.sh: $name failed with status $?" >&2; exit 1; }
  say "$name: $((SECONDS - start)) s"
}

two_commands() {
  local root=$1 user=$2 name=$3
  timed "$name: ./lab reproduce" in_root "$root" "$user" "./lab reproduce"
  [[ -s $root$(chroot "$root" getent passwd "$user" | cut -d: -f6)/sharpseek/out/quick/report.html ]] \
    || { echo "bare_machine.sh: $name: no report.html" >&2; exit 1; }
  timed "$name: ./lab test" in_root "$root" "$user" "./lab test"
}

for name in ${cases//,/ }; do
  root=$work/case-$name
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  tar -C "$root" -xf "$base"
  for place in proc sys dev; do
    mount --rbind "/$place" "$root/$place"
    mount --make-rslave "$root/$place"
    mounted+=("$root/$place")
  done
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  if [[ -n $ca_certificates ]]; then
    install -D -m 644 "$ca_certificates" "$root/usr/local/share/ca-certificates/local-$(basename "${ca_certificates%.*}").crt"
  fi
  user=root
  if [[ $name != root ]]; then
    user=researcher
    chroot "$root" useradd --create-home --shell /bin/bash "$user"
  fi
  if [[ $name == sudo ]]; then
    chroot "$root" sh -c 'apt-get update -qq && apt-get install -y -qq sudo' >"$work/sudo.log"
    echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
  fi
  home=$(chroot "$root" getent passwd "$user" | cut -d: -f6)
  git clone --quiet --no-hardlinks "$source_dir" "$root$home/sharpseek"
  chroot "$root" chown -R "$user:$user" "$home/sharpseek"

  say "case $name: user $user"
  if [[ $name == plain ]]; then
    status=0
    in_root "$root" "$user" "./lab reproduce" >"$work/plain.out" 2>&1 || status=$?
    cat "$work/plain.out"
    line=$(grep -oE 'apt-get update.*apt-get install.*' "$work/plain.out" | head -n 1)
    [[ $status == 2 && -n $line ]] || { echo "bare_machine.sh: plain: exit $status, expected 2 and the apt line" >&2; exit 1; }
    say "plain: exit 2; the line, run as root: $line"
    chroot "$root" sh -c "$line" >"$work/plain-apt.log" </dev/null
  fi
  two_commands "$root" "$user" "$name"
  say "case $name: sizes"
  du -sh "$root$home/sharpseek/.venv" "$root$home/sharpseek/build" "$root$home/sharpseek/out" "$root/usr" | sed "s#$root##"
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount -l "${mounted[i]}"; done
  mounted=()
  $keep || rm -rf --one-file-system "$root"
done
say "all cases passed: $cases"
