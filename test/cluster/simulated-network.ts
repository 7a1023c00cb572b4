import type { CallAnswer, CallRequest, TurnFrame, TurnRequest } from "../../src/cluster/protocol/frames.ts";
import {
  type Destination,
  type RequestHandler,
  type Transport,
  Unreachable,
} from "../../src/cluster/protocol/transport.ts";
import type { Chance } from "./simulated-chance.ts";
import { SimulatedConnection } from "./simulated-connection.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";
import type { SimulatedTime } from "./simulated-time.ts";

/** The quality of the connections between machines. It may change during transmissions. */
export interface NetworkWeather {
  /** The longest time of one way, in milliseconds. */
  slownessMs: number;
  /** The probabilities that a request is lost, that a frame breaks its connection, and that a request arrives twice. */
  loses: number;
  breaks: number;
  repeats: number;
  /** The directions that are cut off: `"a>b"` is from machine a to machine b. */
  readonly cut: Set<string>;
}

export function networkWeather(): NetworkWeather {
  return { slownessMs: 3, loses: 0, breaks: 0, repeats: 0, cut: new Set() };
}

/** A handler, and the current run of its node. */
export interface Served {
  readonly machine: SimulatedMachine;
  readonly handler: RequestHandler;
  boot(): string | undefined;
}

/** A connection as the network knows it. */
interface Wire {
  readonly from: SimulatedMachine;
  to: SimulatedMachine | undefined;
  /** Whether something was lost. Then nothing else arrives. */
  torn: boolean;
  /** The arrival time of the last transmission. Nothing overtakes it. */
  lastAt: number;
  readonly abort: AbortController;
  break(why: string): void;
}

type Ask<Value> = (handler: RequestHandler, abort: AbortSignal) => AsyncIterable<Value>;

/** After how many milliseconds of silence a connection breaks, and after how many a connection attempt fails. */
const SILENCE_MS = 2_000;
const CONNECT_MS = 700;

/** Carries requests and answers between machines, subject to `weather`. */
export class SimulatedNetwork {
  readonly weather: NetworkWeather;
  readonly #time: SimulatedTime;
  readonly #chance: Chance;
  readonly #servers = new Map<string, Served>();
  readonly #wires = new Set<Wire>();
  /** Requests in progress, by the machines that answer them. */
  readonly #answering = new Map<object, SimulatedMachine>();

  constructor(weather: NetworkWeather, time: SimulatedTime, chance: Chance) {
    this.weather = weather;
    this.#time = time;
    this.#chance = chance;
  }

  /** The number of open ends of connections. */
  get open(): number {
    return this.#wires.size + this.#answering.size;
  }

  serve(address: string, served: Served): void {
    this.#servers.set(address, served);
  }

  close(address: string): void {
    this.#servers.delete(address);
  }

  /** The process of this machine has died. Its kernel resets the connections of the machines that it can reach. */
  died(machine: SimulatedMachine): void {
    for (const [address, served] of this.#servers) if (served.machine === machine) this.#servers.delete(address);
    for (const [request, answering] of this.#answering) if (answering === machine) this.#answering.delete(request);
    for (const wire of this.#wires) {
      if (wire.from === machine) this.#leave(wire);
      else if (wire.to === machine) this.#tear(wire);
    }
  }

  transportOf(machine: SimulatedMachine): Transport {
    return {
      turn: (to, request, signal) => this.#turn(machine, to, request, signal),
      call: (to, request, signal) => this.#call(machine, to, request, signal),
      events: () => nothing(),
      close: async () => {},
    };
  }

  async *#turn(
    from: SimulatedMachine,
    to: Destination,
    request: TurnRequest,
    signal: AbortSignal,
  ): AsyncGenerator<TurnFrame, void, undefined> {
    const connection = this.#connect<TurnFrame>(from, to, signal, (handler, abort) => handler.turn(request, abort));
    try {
      for (let next = await connection.next(); next !== undefined; next = await connection.next()) yield next;
    } finally {
      connection.close();
    }
  }

  async #call(from: SimulatedMachine, to: Destination, request: CallRequest, signal: AbortSignal): Promise<CallAnswer> {
    const connection = this.#connect<CallAnswer>(from, to, signal, (handler) => only(handler.call(request)));
    try {
      const answer = await connection.next();
      if (answer === undefined) throw new Unreachable("its answer ended before it was complete.");
      return answer;
    } finally {
      connection.close();
    }
  }

  #connect<Value>(
    from: SimulatedMachine,
    to: Destination,
    signal: AbortSignal,
    ask: Ask<Value>,
  ): SimulatedConnection<Value> {
    const wire: Wire = {
      from,
      to: undefined,
      torn: false,
      lastAt: 0,
      abort: new AbortController(),
      break: (why) => connection.break(why),
    };
    const isThere = (): boolean =>
      !wire.torn && wire.to?.state === "running" && this.#reaches(from, wire.to) && this.#reaches(wire.to, from);
    const connection = new SimulatedConnection<Value>(from, signal, SILENCE_MS, isThere, () => this.#leave(wire));
    this.#wires.add(wire);
    const served = this.#servers.get(to.address);
    if (served !== undefined && !(this.#reaches(from, served.machine) && this.#reaches(served.machine, from))) {
      from.schedule(CONNECT_MS, () => connection.break("no connection came about.", true));
      return connection;
    }
    const refuse = (why: string): void =>
      void this.#time.after(this.#way(), () => from.deliver(() => connection.break(why, true)));
    this.#time.after(this.#way(), () => {
      if (served === undefined || served.machine.state === "dead") return refuse("nobody listens there.");
      if (this.#chance.happens(this.weather.loses) || !this.#reaches(from, served.machine)) {
        wire.torn = true;
        return;
      }
      wire.to = served.machine;
      served.machine.deliver(() => {
        if (served.boot() !== to.boot) return refuse("another run of the node is there.");
        void this.#answer(wire, served, connection, ask);
      });
      if (this.#chance.happens(this.weather.repeats)) this.#repeat(served, to, ask);
    });
    return connection;
  }

  async #answer<Value>(
    wire: Wire,
    served: Served,
    connection: SimulatedConnection<Value>,
    ask: Ask<Value>,
  ): Promise<void> {
    const request = {};
    this.#answering.set(request, served.machine);
    try {
      for await (const value of ask(served.handler, wire.abort.signal)) {
        if (wire.abort.signal.aborted) return;
        if (this.#chance.happens(this.weather.breaks)) return this.#tear(wire);
        this.#send(wire, () => connection.take(value));
      }
      this.#send(wire, () => connection.end());
    } catch {
      this.#send(wire, () => connection.break("it broke off."));
    } finally {
      this.#answering.delete(request);
    }
  }

  /** Sends the same request again, without a reader of its answer. */
  #repeat<Value>(served: Served, to: Destination, ask: Ask<Value>): void {
    const { machine, handler } = served;
    const again = async (): Promise<void> => {
      if (served.boot() !== to.boot) return;
      const abort = new AbortController();
      const timer = machine.schedule(this.#chance.between(0, 500), () => abort.abort());
      this.#answering.set(abort, machine);
      try {
        for await (const _ of ask(handler, abort.signal)) if (abort.signal.aborted) break;
      } finally {
        timer.cancel();
        this.#answering.delete(abort);
      }
    };
    this.#time.after(this.#chance.between(0, 20 * this.weather.slownessMs), () =>
      machine.deliver(() => void again().catch(() => {})),
    );
  }

  #send(wire: Wire, arrive: () => void): void {
    const { from, to } = wire;
    if (to === undefined || wire.torn) return;
    wire.lastAt = Math.max(wire.lastAt + 0.001, this.#time.now + this.#way());
    this.#time.after(wire.lastAt - this.#time.now, () => {
      if (wire.torn) return;
      if (this.#reaches(to, from)) from.deliver(arrive);
      else wire.torn = true;
    });
  }

  /** Breaks the connection at both ends that can be reached. */
  #tear(wire: Wire): void {
    const { from, to } = wire;
    wire.torn = true;
    if (to === undefined) return;
    if (this.#reaches(to, from)) {
      this.#time.after(this.#way(), () => from.deliver(() => wire.break("the connection was reset.")));
    }
    this.#time.after(this.#way(), () => to.deliver(() => wire.abort.abort()));
  }

  /** Closes the caller's end. The other end learns of it, or notices later. */
  #leave(wire: Wire): void {
    this.#wires.delete(wire);
    const { from, to } = wire;
    if (to === undefined) return;
    const notices = this.#reaches(from, to) ? this.#way() : SILENCE_MS;
    this.#time.after(notices, () => to.deliver(() => wire.abort.abort()));
  }

  #reaches(from: SimulatedMachine, to: SimulatedMachine): boolean {
    return !this.weather.cut.has(`${from.name}>${to.name}`);
  }

  #way(): number {
    return this.#chance.between(0.1, this.weather.slownessMs);
  }
}

async function* only<Value>(promise: Promise<Value>): AsyncGenerator<Value, void, undefined> {
  yield await promise;
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}
