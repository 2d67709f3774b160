// Loaded before a lab process (node --import): ends it when the lab is gone. The lab holds the other end of standard
// input and never writes to it; its closing means that the lab has ended, however it did.

process.stdin.on('error', letGo)
process.stdin.on('end', letGo)
process.stdin.on('close', letGo)
process.stdin.resume()
// The pipe alone must not keep the process running. (Node types stdin as a file; as a pipe it is a socket.)
if ('unref' in process.stdin && typeof process.stdin.unref === 'function') process.stdin.unref()

function letGo(): void {
  // The group: what the process has started goes with it. Nothing is to be tidied: the lab's folder is its own.
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    process.kill(process.pid, 'SIGKILL') // not the leader of a group: started by hand
  }
}
