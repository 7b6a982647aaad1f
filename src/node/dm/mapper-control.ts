/**
 * Where commands of dmsetup are taken: a socket, one command for each connection.
 *
 * @module
 */
import { type Server, type Socket, createServer } from "node:net";
import { describeMapped } from "../../dm/description.ts";
import type { DeviceMapper } from "../../dm/device-mapper.ts";
import { dmsetup } from "../../dm/dmsetup.ts";
import { type MapperRequest, onLines, readRequest, say, tableReader } from "./mapper-talk.ts";

/** Whose mapper it is. */
export interface MapperOwner {
  readonly mapper: DeviceMapper;
  /** Where a device is served; empty where it is not. */
  uri(device: string): string;
  /** A command comes. */
  begins?(request: MapperRequest): void;
  /** It was done. */
  ended?(): void;
  /** A client has gone. */
  left?(): void;
}

/** See the module. */
export class MapperControl {
  readonly #owner: MapperOwner;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #closed = false;

  constructor(owner: MapperOwner) {
    this.#owner = owner;
    this.#server = createServer((socket) => this.#greet(socket));
  }

  /** How many are connected. */
  get clients(): number {
    return this.#clients.size;
  }

  /** @throws what listening says */
  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ path }, resolve);
    });
  }

  /** Hangs up, and takes nobody any more. */
  hangUp(): void {
    this.#closed = true;
    for (const client of this.#clients) client.destroy();
  }

  /** Takes the socket's path away. `closed` is called in the end. */
  close(closed: () => void = () => {}): void {
    this.hangUp();
    this.#server.close(closed);
  }

  #greet(socket: Socket): void {
    if (this.#closed) {
      socket.destroy();
      return;
    }
    this.#clients.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#clients.delete(socket);
      this.#owner.left?.();
    });
    say(socket, { mapper: process.pid });
    onLines(socket, (line) => {
      const request = readRequest(line);
      // Something else than our own client.
      if (request === undefined) socket.destroy();
      else this.#serve(request, socket);
    });
  }

  /** A mistake of ours is told to who met it; devices of others go on. */
  #serve(request: MapperRequest, socket: Socket): void {
    try {
      this.#run(request, socket);
    } catch (error) {
      const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const stderr = `this is a bug in daxkit; please report it: ${shown}\n`;
      say(socket, { stdout: "", stderr, status: 1, devices: [] });
      socket.end();
    }
  }

  #run(request: MapperRequest, socket: Socket): void {
    const { mapper } = this.#owner;
    this.#owner.begins?.(request);
    const result = dmsetup(mapper, request.words, { read: tableReader(request) });
    const { waits } = result;
    if (waits !== undefined) {
      const again = waits.watch(() => {
        again();
        setImmediate(() => this.#serve(request, socket));
      });
      socket.once("close", again);
      return;
    }
    this.#owner.ended?.();
    const devices = mapper.devices.map((device) =>
      Object.assign(describeMapped(device), { uri: this.#owner.uri(device.name) }),
    );
    const { stdout, stderr, status } = result;
    say(socket, { stdout, stderr, status, devices });
    socket.end();
  }
}
