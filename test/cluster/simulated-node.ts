import { type Clock, pause } from "../../src/clock.ts";
import { ClusterNode, type NodeSettings } from "../../src/cluster/node.ts";
import { NodeRequestHandler } from "../../src/cluster/node-request-handler.ts";
import type { SimulatedActivations } from "./simulated-activations.ts";
import type { Chance } from "./simulated-chance.ts";
import type { SimulatedEnginePort } from "./simulated-engine-port.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";
import { SimulatedSessionHost } from "./simulated-session-host.ts";
import { SimulatedWrites } from "./simulated-writes.ts";

/** How many runs a node remembers, as `ReplayBuffer` does. */
const MOST_RUNS = 3;

export interface SimulatedNodeWorld {
  readonly machine: SimulatedMachine;
  readonly port: SimulatedEnginePort;
  readonly network: SimulatedNetwork;
  readonly activations: SimulatedActivations;
  readonly chance: Chance;
  readonly stepMs: number;
  readonly crashes: number;
  /** The longest time that the end of a process takes, in milliseconds. */
  readonly endMs: number;
  readonly newId: () => string;
  /** The clock that the node reads; only a mutant reads another than its machine's. */
  readonly clock: Clock;
  /** Whether it writes again what the engine lacks; only a mutant does not. */
  readonly remembers: boolean;
  readonly tell: (what: string) => void;
  readonly joined: () => void;
  /** Tells that writes for a session are lost. */
  readonly tellLost: (key: string, what: string) => void;
}

/** A process that hosts a node. It retries until it has joined, and answers requests. */
export class SimulatedNode {
  readonly machine: SimulatedMachine;
  readonly port: SimulatedEnginePort;
  readonly #world: SimulatedNodeWorld;
  readonly #given = new AbortController();
  /** The writes of its runs, the oldest first. */
  #runs: SimulatedWrites[] = [];
  #node: ClusterNode | undefined;
  #left = false;

  constructor(settings: NodeSettings, world: SimulatedNodeWorld) {
    this.machine = world.machine;
    this.port = world.port;
    this.#world = world;
    void this.#join(settings);
  }

  get node(): ClusterNode | undefined {
    return this.#node;
  }

  /** Whether it has left or is dead. */
  get isGone(): boolean {
    return this.#left || this.machine.state === "dead";
  }

  /** Whether it is a member now. */
  get isMember(): boolean {
    return this.#node?.phase === "member";
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#given.abort();
    await this.#node?.drain(deadlineMs);
    this.#world.network.close(this.machine.name);
    this.#left = true;
    this.#world.tell(`${this.machine.name} has left`);
  }

  /** Writes again what the engine lacks of the runs before, and tells what is lost. */
  async #restore(but?: string): Promise<void> {
    if (!this.#world.remembers) return;
    const runs = this.#runs.filter(({ boot }) => boot !== but);
    if (runs.length === 0) return;
    for (const run of runs) {
      const refused = await run.restore(this.port);
      for (const key of refused)
        this.#world.tellLost(key, `${this.machine.name} says that writes of ${run.boot} for ${key} are lost`);
    }
    await this.port.restored(runs.map(({ boot }) => boot));
  }

  async #join(settings: NodeSettings): Promise<void> {
    const { machine, port, network, activations, chance, stepMs, crashes, endMs, newId, tell } = this.#world;
    const { clock, remembers } = this.#world;
    while (!this.#given.signal.aborted && this.#node === undefined) {
      try {
        const node = await ClusterNode.join(settings, {
          engine: port,
          clock,
          newId,
          restore: (but) => this.#restore(but),
          random: chance.random,
          openHost: async (boot, owned, lost) => {
            await pause(machine, chance.between(0, 20), { signal: this.#given.signal });
            const writes = new SimulatedWrites(boot);
            this.#runs = [...this.#runs, writes].slice(-MOST_RUNS);
            const place = { boot, machine, port, chance, activations, stepMs, crashes, endMs, lost, writes, remembers };
            return new SimulatedSessionHost(place, owned);
          },
          warn: tell,
        });
        this.#node = node;
        this.#world.joined();
        tell(`${machine.name} has joined as ${node.boot ?? "nobody"}`);
        const handler = new NodeRequestHandler(() => node, machine);
        network.serve(machine.name, { machine, handler, boot: () => node.boot });
        if (this.#given.signal.aborted) await this.drain(0);
      } catch {
        await pause(machine, 300, { signal: this.#given.signal });
      }
    }
  }
}
