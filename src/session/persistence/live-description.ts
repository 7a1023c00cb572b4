import { z } from "zod";
import { withoutUndefined } from "../../fields.ts";
import type { Change } from "../../journal/model/change.ts";
import type { JsonObject, SessionDescription, SessionEntry } from "../../journal/model/session-entry.ts";
import { isBounded, type Labels, labelNameSchema, labelsSchema, labelValueSchema } from "../options/labels.ts";
import { jsonObjectSchema } from "../options/metadata.ts";
import { invalidOptions, validate } from "../options/validation.ts";

/** What `describe` changes. */
export interface DescribeOptions {
  /** The title in place of the option `title`; `null` returns to the option. Default: unchanged. */
  readonly title?: string | null | undefined;
  /** Labels to add to those of the option `labels`, or in place of them; `null` returns to the option. */
  readonly labels?: Readonly<Record<string, string | null>> | undefined;
  /** The application's own data about the session: a JSON object of up to 64 kB; `null` removes it. Default: unchanged. */
  readonly metadata?: JsonObject | null | undefined;
  /** Whether the session is archived. Default: unchanged. */
  readonly archived?: boolean | undefined;
}

/** The largest metadata of a session, in bytes of JSON. */
const MOST_METADATA = 64 * 1024;

const schema = z.strictObject({
  title: labelValueSchema.nullable().optional(),
  labels: z.record(labelNameSchema, labelValueSchema.nullable()).optional(),
  metadata: jsonObjectSchema(MOST_METADATA).nullable().optional(),
  archived: z.boolean().optional(),
});

/** What the journal keeps of the calls of `describe`. */
const memorySchema = z.object({
  title: labelValueSchema.optional(),
  labels: labelsSchema.default({}),
  metadata: jsonObjectSchema(MOST_METADATA).optional(),
});

type Described = z.output<typeof memorySchema>;

const UNDESCRIBED: Described = { labels: {} };

/** A session with the options that describe it. */
interface DescribedSession {
  readonly settings: { readonly sdk: { readonly title?: string | undefined }; readonly labels: Labels };
}

/** Checks what to change. @throws CastellanError `INVALID_OPTIONS` */
export function checkDescribeOptions(options: DescribeOptions): DescribeOptions {
  return validate(schema, options, "describe");
}

/**
 * What a session is known by in lists: its options, changed by what `describe` was told. The journal has it beside the
 * conversation, so a session that was never used is in no list of the journal.
 */
export class LiveDescription {
  readonly #session: DescribedSession;
  #described: Described = UNDESCRIBED;
  readonly #madeAt: number;
  /** Unknown until the journal has been read. */
  #createdAt: number | undefined;
  #archivedAt: number | undefined;
  /** What the journal has, as JSON; undefined if it has nothing of the session. */
  #written: string | undefined;
  /** The JSON of the description, and the options that it was made of: it is compared after every turn, and seldom changes. */
  #made: string | undefined;
  #madeTitle: string | undefined;
  #madeLabels: Labels | undefined;

  /** @param now in milliseconds since the epoch */
  constructor(session: DescribedSession, now: number) {
    this.#session = session;
    this.#madeAt = now;
  }

  /** Continues with what the journal knows of the session. */
  restore(entry: SessionEntry | undefined): void {
    this.#made = undefined;
    if (entry === undefined) {
      this.#createdAt ??= this.#madeAt;
      return;
    }
    const { description = {} } = entry;
    this.#createdAt = description.createdAt;
    this.#archivedAt = description.archivedAt;
    this.#described = memorySchema.safeParse(description.memory ?? {}).data ?? UNDESCRIBED;
    this.#written = JSON.stringify(ordered(description));
  }

  /** What lists show. */
  get now(): Omit<SessionDescription, "memory"> & { readonly metadata?: JsonObject } {
    const { sdk, labels } = this.#session.settings;
    const all = { ...labels, ...this.#described.labels };
    return withoutUndefined({
      createdAt: this.#createdAt,
      title: this.#described.title ?? sdk.title,
      labels: Object.keys(all).length === 0 ? undefined : all,
      archivedAt: this.#archivedAt,
      metadata: this.#described.metadata,
    });
  }

  get isArchived(): boolean {
    return this.#archivedAt !== undefined;
  }

  /** Changes title and labels. @throws CastellanError `INVALID_OPTIONS` if there would be too many labels */
  describe({ title, labels = {}, metadata }: DescribeOptions, who: string): void {
    const own: Record<string, string> = { ...this.#described.labels };
    for (const [label, value] of Object.entries(labels)) {
      if (value === null) delete own[label];
      else own[label] = value;
    }
    if (!isBounded({ ...this.#session.settings.labels, ...own })) {
      throw invalidOptions(who, [{ field: "labels", message: "would be more than 16 in all" }]);
    }
    const { title: oldTitle, metadata: oldMetadata } = this.#described;
    const kept = {
      title: title === undefined ? oldTitle : (title ?? undefined),
      metadata: metadata === undefined ? oldMetadata : (metadata ?? undefined),
    };
    this.#made = undefined;
    this.#described = { labels: own, ...withoutUndefined(kept) };
  }

  /** Archives the session. @param at in milliseconds since the epoch */
  archive(at: number): void {
    this.#made = undefined;
    this.#archivedAt ??= at;
  }

  /** Ends the archiving. Returns whether the session was archived. */
  unarchive(): boolean {
    const was = this.isArchived;
    if (was) this.#made = undefined;
    this.#archivedAt = undefined;
    return was;
  }

  /** Whether the journal has the session, with another description. */
  get isStale(): boolean {
    return this.#written !== undefined && this.#written !== this.#json;
  }

  /** Returns the change to write with the session's entry, unless the journal has it. */
  due(session: string): Change[] {
    const json = this.#json;
    if (this.#written === json) return [];
    this.#written = json;
    return [{ type: "session_described", session, description: this.#whole }];
  }

  /** The journal may not have what was due. */
  unwritten(): void {
    this.#written = "";
  }

  get #json(): string {
    const { sdk, labels } = this.#session.settings;
    if (this.#made === undefined || sdk.title !== this.#madeTitle || labels !== this.#madeLabels) {
      this.#made = JSON.stringify(this.#whole);
      this.#madeTitle = sdk.title;
      this.#madeLabels = labels;
    }
    return this.#made;
  }

  get #whole(): SessionDescription {
    const { title, labels, metadata } = this.#described;
    const isEmpty = title === undefined && metadata === undefined && Object.keys(labels).length === 0;
    const memory: JsonObject | undefined = isEmpty ? undefined : { ...withoutUndefined({ title, metadata }), labels };
    return ordered({ ...this.now, ...withoutUndefined({ memory }) });
  }
}

/** Returns the description with its fields and labels in one order, so that equal ones have equal JSON. */
function ordered({ createdAt, title, labels, archivedAt, memory }: SessionDescription): SessionDescription {
  const sorted = labels && Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return withoutUndefined({ createdAt, title, labels: sorted, archivedAt, memory });
}

/** Returns the metadata in a stored description, if it has any. */
export function metadataIn({ memory }: SessionDescription): JsonObject | undefined {
  return memorySchema.safeParse(memory ?? {}).data?.metadata;
}
