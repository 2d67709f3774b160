// The agent's own version: printed by `version`, and on the first line of its log. Equal to package.json (tested).

export const AGENT_VERSION = '0.1.0'
