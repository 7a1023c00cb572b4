import type { ChannelSocket } from "../../../src/journal/handover/channel.ts";
import type { HandoverConnections } from "../../../src/journal/handover/connections.ts";
import type { Chance } from "../../cluster/simulated-chance.ts";
import type { SimulatedMachine } from "../../cluster/simulated-machine.ts";
import type { SimulatedTime } from "../../cluster/simulated-time.ts";

interface Listener {
  readonly machine: SimulatedMachine;
  readonly accept: (socket: ChannelSocket) => void;
}

/** The unix sockets of one machine. Each process is a `SimulatedMachine` of its own, which can be stopped and killed. */
export class SimulatedSockets {
  readonly #time: SimulatedTime;
  readonly #chance: Chance;
  /** By pid. */
  readonly #listeners = new Map<number, Listener>();
  readonly #open = new Set<SimulatedSocket>();
  /** Called for each transmission, with the process that sends it. */
  onSend: (machine: SimulatedMachine) => void = () => {};

  constructor(time: SimulatedTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
  }

  /** The number of open ends at processes that live. */
  get open(): number {
    return [...this.#open].filter(({ machine }) => machine.state !== "dead").length;
  }

  /** Returns the connections of a process. */
  of(machine: SimulatedMachine, pid: number): HandoverConnections {
    return {
      listen: async (accept) => {
        this.#listeners.set(pid, { machine, accept });
        return {
          close: async () => {
            this.#listeners.delete(pid);
          },
        };
      },
      others: () =>
        [...this.#listeners.keys()].filter((other) => other !== pid).map((other) => ({ pid: other, startedAt: other })),
      connect: async (owner) => {
        const listener = this.#listeners.get(owner.pid);
        if (listener === undefined || listener.machine.state === "dead") return undefined;
        const [near, far] = [this.#socket(machine), this.#socket(listener.machine)];
        near.peer = far;
        far.peer = near;
        far.deliver(() => listener.accept(far));
        return near;
      },
    };
  }

  /** The process has died: the kernel closes its sockets. */
  died(machine: SimulatedMachine): void {
    for (const socket of this.#open) if (socket.machine === machine) socket.destroy();
  }

  #socket(machine: SimulatedMachine): SimulatedSocket {
    const world = {
      transmit: (socket: SimulatedSocket, arrive: () => void) => this.#transmit(socket, arrive),
      closed: (socket: SimulatedSocket) => void this.#open.delete(socket),
    };
    const socket = new SimulatedSocket(machine, world);
    this.#open.add(socket);
    return socket;
  }

  #transmit(to: SimulatedSocket, arrive: () => void): void {
    const { now } = this.#time;
    to.lastAt = Math.max(to.lastAt + 0.001, now + this.#chance.between(0.05, 2));
    this.#time.after(to.lastAt - now, () => to.machine.deliver(arrive));
    if (to.peer !== undefined) this.onSend(to.peer.machine);
  }
}

interface SocketWorld {
  transmit(to: SimulatedSocket, arrive: () => void): void;
  closed(socket: SimulatedSocket): void;
}

/** One end of a connection. What it sends arrives in order, also if it is destroyed afterwards. */
class SimulatedSocket implements ChannelSocket {
  readonly machine: SimulatedMachine;
  readonly #world: SocketWorld;
  peer: SimulatedSocket | undefined;
  /** When the last transmission to this end arrives. */
  lastAt = 0;
  #isClosed = false;
  readonly #hearers: Record<"close" | "data" | "error", ((bytes: Buffer) => void)[]> = {
    close: [],
    data: [],
    error: [],
  };
  /** What arrived before anybody listened. */
  #early: Buffer[] = [];

  constructor(machine: SimulatedMachine, world: SocketWorld) {
    this.machine = machine;
    this.#world = world;
  }

  once(event: "close", listener: () => void): void {
    this.#hearers[event].push(listener);
  }

  on(event: "error" | "data", listener: ((bytes: Buffer) => void) | ((error: Error) => void)): void {
    if (event === "error") return;
    this.#hearers.data.push(listener as (bytes: Buffer) => void);
    for (const bytes of this.#early.splice(0)) this.#emit("data", bytes);
  }

  cork(): void {}

  uncork(): void {}

  unref(): void {}

  write(bytes: Uint8Array): void {
    const { peer } = this;
    if (this.#isClosed || peer === undefined) return;
    const sent = Buffer.from(bytes);
    peer.deliver(() => {
      if (!peer.#isClosed) peer.#emit("data", sent);
    });
  }

  /** Takes something from the other end. */
  deliver(arrive: () => void): void {
    this.#world.transmit(this, arrive);
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#close();
    const { peer } = this;
    peer?.deliver(() => peer.#close());
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#world.closed(this);
    this.#world.transmit(this, () => this.#emit("close", Buffer.alloc(0)));
  }

  #emit(event: "close" | "data", bytes: Buffer): void {
    if (event === "data" && this.#hearers.data.length === 0) this.#early.push(bytes);
    for (const hear of this.#hearers[event]) hear(bytes);
  }
}
