import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import type { Slot, SlotHolder } from "../../capacity/capacity.ts";
import type { ClaimedSpare } from "../../capacity/spare.ts";
import type { Spares } from "../../capacity/spares.ts";
import type { Activation, StartActivation } from "../../claude/activation.ts";
import { lockConversation } from "../../claude/conversation-lock.ts";
import { copyConversation } from "../../claude/copy-conversation.ts";
import { buildEnvironment } from "../../claude/environment.ts";
import type { Shape } from "../../claude/fingerprint.ts";
import { halfCompactionAt, removeHalfCompaction } from "../../claude/half-compaction.ts";
import { formatMarker, thisOwner } from "../../claude/marker.ts";
import { lastOf, lastThatWorked } from "../../claude/messages/transcript-evidence.ts";
import { emptyOwnDirectory } from "../../claude/own-directory.ts";
import { classOfFault } from "../../claude/passing-fault.ts";
import type { ProcessHost } from "../../claude/process-host.ts";
import { messageOf, startError } from "../../claude/process-run.ts";
import { nameLeaf, staleLeafOf } from "../../claude/resumed-leaf.ts";
import { steadyStore } from "../../claude/steady-store.ts";
import { transcriptAt, transcriptLocationOf } from "../../claude/transcript-location.ts";
import { isWrittenHere } from "../../claude/transcript-mirror.ts";
import { transcriptHasOneOf } from "../../claude/transcripts.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import type { SharedResources } from "../context/shared-resources.ts";
import {
  type Conversation,
  conversationStart,
  endIsUnknown,
  isBroken,
  isSummarised,
  isSuspect,
  knownEnd,
  mayBeUnwritten,
} from "../conversation/conversation.ts";
import { isNothing } from "../conversation/granted.ts";
import { rememberedMessages } from "../conversation/transcript.ts";
import type { SessionSettings } from "../options/session-settings.ts";
import { shapeOf } from "../options/session-settings.ts";
import { transcriptGap } from "../status/session-fault.ts";
import { endingStages } from "./ending.ts";
import { exitOfError } from "./session-exit.ts";

/** The SDK's options and the environment of a process. */
export interface ProcessLaunch {
  readonly sdk: SessionSettings["sdk"];
  readonly environment: Readonly<Record<string, string>>;
}

/** Returns the environment for a process that starts now. */
export function environmentOf({ sdk, inheritEnv }: SessionSettings): ProcessLaunch["environment"] {
  return buildEnvironment({ host: process.env, inheritEnv, env: sdk.env });
}

/** Starts processes with the conversation of a session: a matching spare, or a new process. */
export class ProcessStarter {
  readonly #host: ProcessHost;
  readonly #conversation: SessionConversation;
  readonly #spares: Spares;
  readonly #startActivation: StartActivation;
  readonly #context: SessionContext;
  #steady: { readonly given: SessionStore; readonly store: SessionStore } | undefined;
  /** The claimed spare for the next start. */
  #spare: ClaimedSpare | undefined;
  #starts = 0;
  /** Whether to empty the session's own directory before the next process starts. */
  #emptyDue = false;
  #emptying: Promise<void> | undefined;
  /** The process's conversation. The session may have chosen a different one for the next process. */
  #processConversation: string | undefined;

  constructor(
    context: SessionContext,
    host: ProcessHost,
    conversation: SessionConversation,
    { spares, startActivation }: Pick<SharedResources, "spares" | "startActivation">,
  ) {
    this.#context = context;
    this.#host = host;
    this.#conversation = conversation;
    this.#spares = spares;
    this.#startActivation = startActivation;
  }

  /** How many processes were started, failed starts included. */
  get starts(): number {
    return this.#starts;
  }

  /** What a process would start with now. */
  get launch(): ProcessLaunch {
    const { settings, journal } = this.#context;
    const { sdk } = settings;
    const { sessionStore } = sdk;
    return {
      sdk:
        sessionStore === undefined
          ? journal.transcripts.optionsFor(sdk)
          : { ...sdk, sessionStore: this.#store(sessionStore) },
      environment: environmentOf(settings),
    };
  }

  /** Everything that shapes the next process, except the conversation. */
  get shape(): Shape {
    return { ...shapeOf(this.#context.settings), options: this.launch.sdk };
  }

  /** Claims a matching spare for the next start. @returns its slot, which `holder` now has, or undefined */
  claimSpare(holder: SlotHolder): Slot | undefined {
    this.#spare = this.#spares.claim(this.shape, this.#isFresh, holder);
    return this.#spare?.slot;
  }

  /**
   * Starts a process with the current conversation; `spare` tells whether it is the claimed spare.
   *
   * @throws CastellanError `CLAUDE_NOT_FOUND`, `START_FAILED`; the caller then has to `abandon` the claimed spare
   */
  async start(signal: AbortSignal): Promise<{ readonly activation: Activation; readonly spare: boolean }> {
    await this.emptyIfDue();
    const spare = await this.#bindSpare();
    return { activation: spare ?? (await this.#activate(signal)), spare: spare !== undefined };
  }

  /** Ends an unused claimed spare. Its slot is free for others only once it is gone. */
  async abandon(): Promise<void> {
    const spare = this.#spare;
    this.#spare = undefined;
    await spare?.activation.end(endingStages(this.#context.settings.shutdown, false));
  }

  /** Empties the session's own directory, if it has one, before the next process starts. */
  emptyFirst(): void {
    this.#emptyDue = this.#context.settings.ownDirectory !== undefined;
  }

  get emptiesFirst(): boolean {
    return this.#emptyDue;
  }

  /** Empties the directory now if that is due. There must be no process. @throws CastellanError `START_FAILED` */
  async emptyIfDue(): Promise<void> {
    const { ownDirectory } = this.#context.settings;
    if (!this.#emptyDue || ownDirectory === undefined) return;
    this.#emptying ??= emptyOwnDirectory(ownDirectory)
      .then(() => {
        this.#emptyDue = false;
      })
      .finally(() => {
        this.#emptying = undefined;
      });
    await this.#emptying.catch((error: unknown) => {
      const message = `the session's directory could not be emptied: ${messageOf(error)}`;
      const exit = { class: classOfFault(error), message };
      throw startError("START_FAILED", this.#host.who, this.#context.clock, exit, error);
    });
  }

  /** Whether the process just switched to this conversation from another one. */
  hasMoved(conversationId: string): boolean {
    if (conversationId === this.#processConversation) return false;
    this.#processConversation = conversationId;
    return true;
  }

  /** Whether the conversation is new and has no grants to pass to the process, so that a spare can serve it. */
  get #isFresh(): boolean {
    return this.#conversation.now.kind === "new" && isNothing(this.#conversation.granted);
  }

  /** Returns the same wrapper for the same store, because the wrapper knows whether an append is still pending. */
  #store(given: SessionStore): SessionStore {
    if (this.#steady?.given !== given) {
      this.#steady = { given, store: steadyStore(given, this.#conversation.storeKey, this.#context.clock) };
    }
    return this.#steady.store;
  }

  /** Binds the claimed spare if it is still usable; otherwise ends it. */
  async #bindSpare(): Promise<Activation | undefined> {
    const spare = this.#spare;
    if (spare === undefined) return undefined;
    await this.#bringTranscript();
    if (spare.activation.ending || !this.#isFresh) {
      await this.abandon();
      return undefined;
    }
    this.#spare = undefined;
    this.#conversation.take({ type: "forgotten", freshId: spare.conversationId });
    this.#starts++;
    this.#processConversation = spare.conversationId;
    spare.bind(this.#host);
    return spare.activation;
  }

  async #activate(signal: AbortSignal): Promise<Activation> {
    for (;;) {
      try {
        await this.#bringTranscript();
        if (this.#hasTranscriptHere) await this.#repairTranscript();
        if (isSummarised(this.#conversation.now)) {
          await this.#copy(this.#conversation.now);
          // The journal needs the copy, too.
          await this.#bringTranscript();
        }
        if (endIsUnknown(this.#conversation.now)) await this.#readEnd();
        if (isBroken(this.#conversation.now) || knownEnd(this.#conversation.now).length > 0) await this.#compareEnd();
        if (isSuspect(this.#conversation.now)) await this.#lookBack();
        return await this.#start(signal);
      } catch (error) {
        if (signal.aborted || !this.#adapt(error)) throw error;
      }
    }
  }

  #start(signal: AbortSignal): Promise<Activation> {
    this.#starts++;
    const conversation = conversationStart(this.#conversation.now);
    this.#processConversation = conversation.id;
    this.#spares.missed(this.shape, this.#isFresh);
    const { granted } = this.#conversation;
    const request = {
      ...this.shape,
      id: this.#context.newId(),
      host: this.#host,
      conversation,
      standing: isNothing(granted) ? undefined : granted,
      signal,
    };
    return this.#startActivation(request, this.#context.clock);
  }

  /** Makes the transcript available where the process looks for it, if Claude Code keeps it on this machine. */
  async #bringTranscript(): Promise<void> {
    const message = await this.#conversation.bringTranscriptTo(this.launch);
    if (message === undefined) return;
    throw startError("START_FAILED", this.#host.who, this.#context.clock, { class: "bad_config", message });
  }

  /**
   * Whether this machine may have a transcript of the conversation that the process resumes, that is, its own or its
   * fork source's.
   */
  get #hasTranscriptHere(): boolean {
    return isWrittenHere(this.#context.settings.sdk) && this.#conversation.now.kind !== "new";
  }

  /**
   * Repairs what a killed process left in the transcript: a compaction with a boundary but no summary, and a last
   * message that no entry names, because of which Claude Code would resume another branch.
   */
  async #repairTranscript(): Promise<void> {
    const { now } = this.#conversation;
    const id = now.kind === "fork" ? now.fork.from : now.id;
    const { sdk, environment } = this.launch;
    const location = await transcriptLocationOf(sdk.cwd ?? process.cwd(), environment);
    const file = await transcriptAt(id, location);
    if (file === undefined || !(await needsRepair(file).catch(() => false))) return;
    try {
      const lock = await lockConversation(id, formatMarker(thisOwner(), this.#context.newId()), location.config);
      await removeHalfCompaction(file)
        .then(() => nameLeaf(file))
        .finally(() => lock.release());
    } catch {
      // Another process uses the conversation; starting ours reports that.
    }
  }

  /** Copies a conversation that a compaction has summarised. If copying fails, the summary stands for it. */
  async #copy({ id, lastUuid }: Conversation & { readonly lastUuid: string }): Promise<void> {
    const { sdk, environment } = this.launch;
    const cwd = sdk.cwd ?? process.cwd();
    const store = sdk.sessionStore;
    const transcripts = store === undefined ? transcriptLocationOf(cwd, environment) : { cwd, store };
    const copied = copyConversation(id, lastUuid, await transcripts).catch(() => undefined);
    this.#conversation.take({ type: "copied", id: await copied });
  }

  /**
   * Reads the last message. Failing here is harmless: it only means that an interrupted turn stays in the conversation.
   */
  async #readEnd(): Promise<void> {
    const lastUuid = await rememberedMessages(this.#conversation.now, this.launch, {}).then(lastOf, () => undefined);
    if (lastUuid !== undefined) this.#conversation.take({ type: "read", lastUuid });
  }

  /**
   * Detects a transcript that lacks what the session knows of.
   *
   * @throws CastellanError `START_FAILED` if the options forbid continuing from it
   */
  async #compareEnd(): Promise<void> {
    const { now } = this.#conversation;
    const end = knownEnd(now);
    if (!isBroken(now) && (end.length === 0 || (await transcriptHasOneOf(end, now.id, this.launch)) !== false)) return;
    if (this.#context.settings.onMissingConversation === "fail" && !mayBeUnwritten(now)) {
      const message = `${transcriptGap(isBroken(now))}; without \`onMissingConversation: "fail"\` the session continues from the transcript; \`clear()\` begins an empty conversation`;
      throw startError("START_FAILED", this.#host.who, this.#context.clock, { class: "conversation_missing", message });
    }
    const lastUuid = await rememberedMessages(now, this.launch, {}).then(lastOf, () => undefined);
    this.#conversation.take({ type: "behind", lastUuid });
  }

  /** Finds the last successful turn to cut back to, if there is one. */
  async #lookBack(): Promise<void> {
    const lastUuid = await rememberedMessages(this.#conversation.now, this.launch, {}).then(
      lastThatWorked,
      () => undefined,
    );
    this.#conversation.take({ type: "looked_back", lastUuid });
  }

  /** Adapts the conversation to the error of a start. Returns whether another start may succeed. */
  #adapt(error: unknown): boolean {
    const conversation = this.#conversation.now;
    const { sdk, onMissingConversation } = this.#context.settings;
    const exit = exitOfError(error, this.#context.clock);
    if (exit.class === "conversation_missing" && conversation.kind === "kept") {
      const { cut, lastUuid, empty, unwritten } = conversation;
      // Never drop a cut that the options ask for: the model would see what it must not.
      if (cut && lastUuid === sdk.resumeSessionAt) return false;
      if (cut) this.#conversation.take({ type: "cut_refused" });
      else if (empty) this.#conversation.take({ type: "forgotten", freshId: this.#context.newId() });
      else if (onMissingConversation === "fresh") this.#conversation.clear();
      else if (unwritten !== undefined) {
        this.#conversation.take({ type: "missing", freshId: this.#context.newId() });
      } else return false;
      return true;
    }
    if (exit.class === "conversation_exists" && conversation.kind === "new") {
      this.#conversation.take({ type: "found" });
      return true;
    }
    return false;
  }
}

async function needsRepair(file: string): Promise<boolean> {
  return (await halfCompactionAt(file)) !== undefined || (await staleLeafOf(file)) !== undefined;
}
