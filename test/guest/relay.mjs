/**
 * Standard input and output <-> a unix socket, for QEMU's guestfwd: its own forwarding to a socket
 * loses what the server says before the guest is ready to hear it, and an NBD server speaks first.
 */
import { connect } from "node:net";

const socket = connect({ path: process.argv[2], allowHalfOpen: true });
socket.on("error", () => process.exit(1));
process.stdout.on("error", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));
process.stdin.pipe(socket);
socket.pipe(process.stdout);
