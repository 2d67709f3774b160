// slipway-agent.service, the unit that runs the agent on a machine.
//
// What it leaves out matters more than what it has. The agent starts systemd-sysext, whose mount over /usr must be
// seen by the whole system: every setting that gives the service a mount namespace of its own (ProtectSystem=,
// ProtectHome=, PrivateTmp=, ReadWritePaths=, ProtectKernel…=, systemd.exec(5)) would keep that mount to itself.
// PrivateDevices= and ProtectClock= would take away the loop devices that carry the extension, RestrictNamespaces=
// the unshare() inside systemd-sysext, NoNewPrivileges= the SELinux transitions of what kubeadm starts, and
// MemoryDenyWriteExecute= the compiler of the agent's own JavaScript engine.

/** `runtimeUnit` is the container runtime's service: kubeadm needs its socket. */
export function agentUnit(runtimeUnit: string): string {
  return `[Unit]
Description=Slipway agent: enrols this machine, joins it to its cluster, upgrades it
Wants=network-online.target ${runtimeUnit}
After=network-online.target systemd-sysext.service ${runtimeUnit}
# It must come back whatever happens: the journal says where it was.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/local/bin/slipway-agent run
Restart=always
RestartSec=5
StateDirectory=slipway-agent
StateDirectoryMode=0700
# No core dumps: memory holds keys.
LimitCORE=0
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`
}
