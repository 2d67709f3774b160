// Where machines are plugged in, and by what else than their hardware address they are known.

import type { Migration } from './step.ts'

export const identity: Migration = {
  number: 2,
  name: '0002-identity',
  statements: dialect => {
    const text = dialect === 'postgres' ? 'text collate "C"' : 'text'
    const columns = ['switch_name', 'switch_port', 'switch_relay', 'switch_mac', 'switch_at', 'position']
    return [
      ...columns.map(name => `alter table machines add column ${name} ${text}`),
      `alter table leases add column identifier ${text}`,

      // By hardware address: DHCP sees it before anybody knows whose it is.
      `create table switch_ports (
        mac ${text} primary key, switch_name ${text} not null, switch_port ${text} not null,
        switch_relay ${text} not null, switch_at ${text} not null)`,
      'create index switch_ports_at on switch_ports (switch_at)'
    ]
  }
}
