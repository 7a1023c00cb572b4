import type { Clock } from "../../src/clock.ts";
import type { NodeSettings } from "../../src/cluster/node.ts";
import type { Engine } from "../../src/cluster/protocol/engine.ts";
import type { Transport } from "../../src/cluster/protocol/transport.ts";
import { SimulatedActivations } from "./simulated-activations.ts";
import { type SimulatedCall, SimulatedCaller } from "./simulated-caller.ts";
import { Chance } from "./simulated-chance.ts";
import { type EngineMutation, SimulatedEngine, type StoredEngine } from "./simulated-engine.ts";
import { type EngineLine, engineLine, SimulatedEnginePort } from "./simulated-engine-port.ts";
import { SimulatedMachine } from "./simulated-machine.ts";
import { networkWeather, SimulatedNetwork } from "./simulated-network.ts";
import { SimulatedNode } from "./simulated-node.ts";
import { SimulatedTime } from "./simulated-time.ts";
import type { Plan, PlannedFault } from "./simulation-plan.ts";

/** A defect of one part, to show that a property detects it. */
export interface Mutation extends EngineMutation {
  /** The node ends its processes that many milliseconds too late. */
  readonly lateMs?: number;
  /** The node does not write again what the engine lacks. */
  readonly forgets?: boolean;
  /** The clock by which the node counts its lease. */
  readonly clock?: (machine: SimulatedMachine) => Clock;
  /** Wraps the transport. */
  readonly transport?: (transport: Transport) => Transport;
}

/** How long a caller waits for a node, and how long the rest may take after the last fault, in milliseconds. */
const PATIENCE_MS = 20_000;
const QUIET_MS = 60_000;

/** How long connections and calls may take to be cleaned up, in milliseconds. */
const REST_MS = 12_000;

/** Runs a plan with the real parts of the cluster in a simulated environment. */
export class Simulation {
  readonly plan: Plan;
  readonly time = new SimulatedTime();
  readonly engine: SimulatedEngine;
  readonly activations: SimulatedActivations;
  readonly network: SimulatedNetwork;
  /** What callers learned. */
  readonly calls: SimulatedCall[] = [];
  /** The sessions of which a node has told that writes are lost, and when nodes have joined. */
  readonly toldLost = new Set<string>();
  readonly joinedAt: number[] = [];
  /** A log of the run. */
  readonly trace: string[] = [];
  /** Whether everything was over in time: the turns, then the nodes. */
  readonly inTime = { turns: false, nodes: false };
  readonly #line: EngineLine = engineLine();
  readonly #chance: Chance;
  readonly #mutation: Mutation;
  readonly #nodes = new Map<string, SimulatedNode>();
  readonly #callers = new Map<string, SimulatedCaller>();
  /** All machines so far. */
  readonly #machines: SimulatedMachine[] = [];
  readonly #ports: SimulatedEnginePort[] = [];
  readonly #settings: Pick<NodeSettings, "beatMs" | "staleMs" | "marginMs" | "wanted">;
  /** What the replicas of later failovers have. */
  readonly #replicas = new Map<PlannedFault, StoredEngine>();
  #failovers = 0;
  #boots = 0;
  #healed = false;
  #isOver = false;

  constructor(plan: Plan, mutation: Mutation = {}) {
    this.plan = plan;
    this.#mutation = mutation;
    this.#chance = new Chance(`run ${plan.seed}`);
    this.engine = new SimulatedEngine(() => this.time.now, mutation);
    this.activations = new SimulatedActivations(this.time, this.engine);
    this.network = new SimulatedNetwork(networkWeather(), this.time, this.#chance.of("network"));
    const { beatMs, staleMs, marginMs } = plan.pace;
    this.#settings = { beatMs, staleMs, marginMs: marginMs - (mutation.lateMs ?? 0), wanted: plan.wanted };
  }

  /** Runs the plan until all work is done, then stops everything. */
  async run(): Promise<void> {
    const { nodes, clients, asks, faults, untilMs } = this.plan;
    for (const node of nodes) this.#boot(node);
    for (const client of clients) this.#callers.set(client, this.#caller(this.#machine(client)));
    for (const ask of asks) this.time.after(ask.at, () => this.#ask(ask));
    for (const fault of faults) {
      if (fault.type === "failover")
        this.time.after(fault.at - fault.lackMs, () => this.#replicas.set(fault, this.engine.stored));
      this.time.after(fault.at, () => this.#inflict(fault));
    }
    await this.time.run(untilMs);
    this.#heal();
    await this.time.run(this.time.now + QUIET_MS, () => this.#isQuiet);
    this.inTime.turns = this.#isQuiet;
    this.#isOver = true;
    this.#log("everything is quiet; all nodes leave");
    for (const { drain, machine } of this.#draining) machine.deliver(() => void drain());
    await this.time.run(this.time.now + QUIET_MS, () => this.#haveAllEnded);
    this.inTime.nodes = this.#haveAllEnded;
    await this.time.run(this.time.now + REST_MS);
  }

  /** Accepted turns that have not ended. */
  get openTurns(): readonly string[] {
    const open = this.engine.journal.turns.filter(({ state }) => state === "queued" || state === "running");
    return open.map(({ id, state }) => `${id} (${state})`);
  }

  /** A description of everything that is left running. */
  get leftovers(): readonly string[] {
    const timers = this.#machines.filter(({ timers: left }) => left > 0);
    return [
      ...timers.map(({ name, timers: left }) => `${left} timers of ${name}`),
      ...(this.engine.listeners > this.#deadListeners ? [`${this.engine.listeners} listeners of the engine`] : []),
      ...(this.network.open > 0 ? [`${this.network.open} ends of connections`] : []),
      ...(this.activations.alive.size > 0 ? [`${this.activations.alive.size} processes`] : []),
      ...this.calls
        .filter(({ open, machine }) => open > 0 && machine.state !== "dead")
        .map(({ ask }) => `a reader of ${ask.turn}`),
    ];
  }

  /** A dead process does not remove its listeners. */
  get #deadListeners(): number {
    return this.#machines.filter(({ state }) => state === "dead").length;
  }

  get #haveAllEnded(): boolean {
    return [...this.#nodes.values()].every(({ isGone }) => isGone);
  }

  get #isQuiet(): boolean {
    if (!this.#healed) return false;
    const waiting = this.calls.some(({ outcome, machine }) => outcome === undefined && machine.state !== "dead");
    if (waiting) return false;
    if ([...this.#callers.values()].some(({ calls, machine }) => calls > 0 && machine.state !== "dead")) return false;
    return this.openTurns.length === 0;
  }

  get #draining(): { readonly machine: SimulatedMachine; readonly drain: () => Promise<void> }[] {
    const left = [...this.#nodes.values()].filter(({ isGone }) => !isGone);
    return left.map((node) => ({ machine: node.machine, drain: () => node.drain(this.#chance.between(0, 500)) }));
  }

  #boot(name: string): void {
    const machine = this.#machine(name);
    const port = this.#port(machine);
    const description = {
      name,
      address: name,
      protocols: [1, 1],
      release: "1.0.0",
      labels: {},
      hosts: { sessions: this.plan.keys, templates: [], pools: [] },
      maxProcesses: 4,
    } as const;
    const node = new SimulatedNode(
      { description, ...this.#settings },
      {
        machine,
        port,
        network: this.network,
        activations: this.activations,
        chance: this.#chance.of(`${name} ${this.#boots}`),
        stepMs: this.plan.stepMs,
        crashes: this.plan.crashes,
        endMs: this.plan.pace.marginMs / 2,
        newId: () => `${name}-${++this.#boots}`,
        clock: this.#mutation.clock?.(machine) ?? machine,
        remembers: this.#mutation.forgets !== true,
        tell: (what) => this.#log(what),
        joined: () => void this.joinedAt.push(this.time.now),
        tellLost: (key, what) => {
          this.toldLost.add(key);
          this.#log(what);
        },
      },
    );
    this.#nodes.set(name, node);
    this.#callers.set(name, this.#caller(machine, port));
  }

  #machine(name: string): SimulatedMachine {
    const machine = new SimulatedMachine(name, this.time);
    this.#machines.push(machine);
    return machine;
  }

  #port(machine: SimulatedMachine): SimulatedEnginePort {
    const chance = this.#chance.of(`port ${machine.name} ${this.#ports.length}`);
    const port = new SimulatedEnginePort(this.engine, this.#line, machine, this.time, chance, () => this.#failovers);
    this.#ports.push(port);
    return port;
  }

  #caller(machine: SimulatedMachine, engine: Engine = this.#port(machine)): SimulatedCaller {
    const { transport: mutate = (transport: Transport) => transport } = this.#mutation;
    const transport = mutate(this.network.transportOf(machine));
    const random = this.#chance.of(`caller ${machine.name} ${this.#machines.length}`).random;
    return new SimulatedCaller(machine, engine, transport, random, PATIENCE_MS, this.time, ({ ask, outcome }) =>
      this.#log(`${ask.by} gets the result of ${ask.turn}: ${JSON.stringify(outcome)}`),
    );
  }

  #ask(ask: Plan["asks"][number]): void {
    const caller = this.#callers.get(ask.by);
    caller?.machine.deliver(() => {
      this.#log(`${ask.by} ${ask.looks ? "looks for" : "asks"} ${ask.turn} of ${ask.key}`);
      this.calls.push(caller.ask(ask));
    });
  }

  #inflict(fault: PlannedFault): void {
    this.#log(JSON.stringify(fault));
    switch (fault.type) {
      case "kill":
        this.#kill(fault.node);
        this.time.after(fault.restartAfterMs, () => this.#revive(fault.node));
        return;
      case "freeze":
        this.#nodes.get(fault.node)?.machine.freeze(fault.as);
        this.time.after(fault.forMs, () => this.#thaw(fault.node));
        return;
      case "set_clock":
        this.#nodes.get(fault.node)?.machine.jump(fault.byMs);
        return;
      case "set_engine_clock":
        this.engine.jump(fault.byMs);
        return;
      case "cut":
        this.#cut(this.network.weather.cut, fault.ways, fault.forMs);
        return;
      case "cut_engine":
        this.#cut(this.#line.cut, [fault.machine], fault.forMs);
        return;
      case "drain": {
        const node = this.#nodes.get(fault.node);
        node?.machine.deliver(() => void node.drain(fault.deadlineMs));
        this.time.after(fault.deadlineMs + fault.restartAfterMs, () => this.#revive(fault.node));
        return;
      }
      case "move": {
        const caller = this.#callers.get(fault.by);
        caller?.machine.deliver(() => void caller.move(fault.key));
        return;
      }
      case "join":
        if (!this.#nodes.has(fault.node)) this.#boot(fault.node);
        return;
      case "failover": {
        const replica = this.#replicas.get(fault);
        if (replica === undefined) return;
        this.#failovers += 1;
        this.engine.failOver(replica);
        this.#cut(this.#line.cut, ["all"], fault.forMs);
        return;
      }
      case "storm":
        this.#storm(fault.strength);
        this.time.after(fault.forMs, () => this.#storm(0));
        return;
    }
  }

  #kill(name: string): void {
    const node = this.#nodes.get(name);
    if (node === undefined || node.machine.state === "dead") return;
    node.machine.kill();
    this.activations.orphan(node.machine, this.#chance.random);
    this.network.died(node.machine);
  }

  /** Starts the node's process unless it runs. */
  #revive(name: string): void {
    const node = this.#nodes.get(name);
    if (node === undefined || !node.isGone || this.#isOver) return;
    this.#log(`${name} is started again`);
    // A node that has left ends its process.
    this.#kill(name);
    this.#boot(name);
  }

  #thaw(name: string): void {
    const machine = this.#nodes.get(name)?.machine;
    if (machine?.state === "running" || machine?.state === "dead") return;
    this.#log(`${name} goes on`);
    machine?.thaw(this.#chance.random);
  }

  #cut(cut: Set<string>, ways: readonly string[], forMs: number): void {
    for (const way of ways) cut.add(way);
    this.time.after(forMs, () => {
      for (const way of ways) cut.delete(way);
    });
  }

  #storm(strength: number): void {
    const { weather } = this.network;
    Object.assign(weather, { loses: strength / 2, breaks: strength / 2, repeats: strength });
    Object.assign(this.#line, { fails: strength / 2, loses: strength / 2, delays: strength / 4 });
    weather.slownessMs = strength === 0 ? 3 : 200 * strength;
    this.#line.slownessMs = strength === 0 ? 4 : 400 * strength;
  }

  /** Ends all faults. */
  #heal(): void {
    this.#log("all faults end");
    this.network.weather.cut.clear();
    this.#line.cut.clear();
    this.#storm(0);
    for (const name of this.#nodes.keys()) this.#thaw(name);
    this.time.after(50, () => {
      this.#healed = true;
    });
    this.#reviveRegularly();
  }

  /** Restarts nodes that do not run, every second. */
  #reviveRegularly(): void {
    if (this.#isOver) return;
    for (const name of [...this.#nodes.keys()]) this.#revive(name);
    this.time.after(1_000, () => this.#reviveRegularly());
  }

  #log(what: string): void {
    this.trace.push(`${this.time.now.toFixed(1).padStart(9)} ${what}`);
  }
}
