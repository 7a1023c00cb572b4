import { z } from "zod";
import type { OptionProblem } from "../../errors.ts";
import { RequestError } from "../http/request-error.ts";
import { budgetSchema } from "./budget.ts";
import { type CustomTool, customToolSchema } from "./custom-tool.ts";
import type { WireBudget } from "./wire-event.ts";

const text = z.strictObject({ type: z.literal("text"), text: z.string() });
const url = z.strictObject({ type: z.literal("url"), url: z.string() });
const file = z.strictObject({ type: z.literal("file"), file_id: z.string() });
const data = z.strictObject({ type: z.literal("base64"), media_type: z.string(), data: z.string() });
const image = z.strictObject({ type: z.literal("image"), source: z.discriminatedUnion("type", [data, url, file]) });
const plain = z.strictObject({ type: z.literal("text"), media_type: z.literal("text/plain"), data: z.string() });
const document = z.strictObject({
  type: z.literal("document"),
  source: z.discriminatedUnion("type", [data, plain, url, file]),
  title: z.string().nullish(),
  context: z.string().nullish(),
});
const searchResult = z.strictObject({
  type: z.literal("search_result"),
  source: z.string(),
  title: z.string(),
  content: z.array(text),
  citations: z.strictObject({ enabled: z.boolean() }).optional(),
});

const message = z.strictObject({
  type: z.literal("user.message"),
  content: z.array(z.discriminatedUnion("type", [text, image, document])).min(1),
});
const interrupt = z.strictObject({
  type: z.literal("user.interrupt"),
  session_thread_id: z.string().nullish(),
});
const confirmation = z.strictObject({
  type: z.literal("user.tool_confirmation"),
  tool_use_id: z.string(),
  result: z.enum(["allow", "deny"]),
  deny_message: z.string().max(10_000).nullish(),
});
const toolResult = z.strictObject({
  type: z.literal("user.custom_tool_result"),
  custom_tool_use_id: z.string(),
  content: z.array(z.discriminatedUnion("type", [text, image, document, searchResult])).default([]),
  is_error: z.boolean().nullish(),
});

/** A block of a message that a client sends. */
export type ClientBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly source: Base64Source | LinkedSource }
  | {
      readonly type: "document";
      readonly source:
        | Base64Source
        | LinkedSource
        | { readonly type: "text"; readonly media_type: "text/plain"; readonly data: string };
      readonly title?: string | null | undefined;
      readonly context?: string | null | undefined;
    };

interface Base64Source {
  readonly type: "base64";
  readonly media_type: string;
  readonly data: string;
}

type LinkedSource =
  | { readonly type: "url"; readonly url: string }
  | { readonly type: "file"; readonly file_id: string };

/** A message that a client sends. */
export interface ClientMessage {
  readonly type: "user.message";
  readonly content: readonly ClientBlock[];
}

/** An event that a client sends. */
export type ClientEvent =
  | ClientMessage
  | { readonly type: "user.interrupt"; readonly session_thread_id?: string | null | undefined }
  | {
      readonly type: "user.tool_confirmation";
      readonly tool_use_id: string;
      readonly result: "allow" | "deny";
      readonly deny_message?: string | null | undefined;
    }
  | {
      readonly type: "user.custom_tool_result";
      readonly custom_tool_use_id: string;
      readonly content: readonly object[];
      readonly is_error?: boolean | null | undefined;
    };

const clientEvent: z.ZodType<ClientEvent> = z.discriminatedUnion("type", [
  message,
  interrupt,
  confirmation,
  toolResult,
]);

/** The types of events that clients may send. */
export const CLIENT_EVENT_TYPES: readonly ClientEvent["type"][] = [
  "user.message",
  "user.interrupt",
  "user.tool_confirmation",
  "user.custom_tool_result",
];

/** The types of events of the API that clients may not send here. */
export const REFUSED_EVENT_TYPES: readonly string[] = ["user.define_outcome", "user.tool_result", "system.message"];

const eventList = z.array(clientEvent).min(1).max(50);

const metadata = z.record(z.string().min(1).max(64), z.string().max(512));
const agentTool = z.looseObject({ type: z.string() });
const agent = z.union([
  z.string(),
  z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().optional() }),
  z.strictObject({
    type: z.literal("agent_with_overrides"),
    id: z.string(),
    version: z.int().optional(),
    tools: z.array(agentTool).max(128).optional(),
  }),
]);
const empty = (what: string): z.ZodType<unknown> =>
  z.array(z.unknown()).max(0, `${what} are not supported; leave the field out`).nullish();

/** What a client creates. */
export interface Creation {
  readonly agent:
    | string
    | { readonly type: "agent"; readonly id: string; readonly version?: number | undefined }
    | {
        readonly type: "agent_with_overrides";
        readonly id: string;
        readonly version?: number | undefined;
        readonly tools?: readonly { readonly type: string }[] | undefined;
      };
  readonly environment_id: string;
  readonly title?: string | null | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly budget?: WireBudget | undefined;
  readonly initial_events: readonly ClientMessage[];
}

const creation: z.ZodType<Creation> = z.strictObject({
  agent,
  environment_id: z.string(),
  title: z.string().nullish(),
  metadata: metadata.refine((given) => Object.keys(given).length <= 16, "expected at most 16 pairs").default({}),
  budget: budgetSchema.optional(),
  initial_events: z.array(message).max(50).default([]),
  resources: empty("Resources"),
  vault_ids: empty("Vaults"),
});

/** What a client changes. */
export interface Update {
  readonly title?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string | null>> | null | undefined;
  readonly budget?: WireBudget | null | undefined;
  readonly agent?: { readonly tools?: readonly { readonly type: string }[] | undefined } | undefined;
}

const update: z.ZodType<Update> = z.strictObject({
  title: z.string().nullish(),
  metadata: z.record(z.string().min(1).max(64), z.string().max(512).nullable()).nullish(),
  budget: budgetSchema.nullish(),
  agent: z.strictObject({ tools: z.array(agentTool).max(128).optional() }).optional(),
});

/** Parses the body of a request that sends events. @throws RequestError `UNSUPPORTED`, `MALFORMED_REQUEST` */
export function readEvents(body: unknown): ClientEvent[] {
  refuseUnsupported(body, "events");
  return parse(z.strictObject({ events: eventList }), body).events;
}

/** Parses the body of a request that creates a session. @throws RequestError `UNSUPPORTED`, `MALFORMED_REQUEST` */
export function readCreation(body: unknown): Creation {
  refuseUnsupported(body, "initial_events");
  return parse(creation, body);
}

/** Parses the body of a request that updates a session. @throws RequestError `MALFORMED_REQUEST` */
export function readUpdate(body: unknown): Update {
  return parse(update, body);
}

/** Returns the custom tools among the tools of an agent, and the others. @throws RequestError `MALFORMED_REQUEST` */
export function readTools(tools: readonly { readonly type: string }[]): {
  readonly custom: CustomTool[];
  readonly others: object[];
} {
  const custom = tools.filter(({ type }) => type === "custom");
  return { custom: parse(z.array(customToolSchema), custom), others: tools.filter(({ type }) => type !== "custom") };
}

function refuseUnsupported(body: unknown, field: string): void {
  const found = z.object({ [field]: z.array(z.looseObject({ type: z.string() })) }).safeParse(body);
  const types = found.data?.[field]?.map(({ type }) => type) ?? [];
  const refused = types.find((type) => REFUSED_EVENT_TYPES.some((one) => one === type));
  if (refused === undefined) return;
  throw new RequestError("UNSUPPORTED", `Events of the type \`${refused}\` are not supported by this server.`);
}

/** @throws RequestError `MALFORMED_REQUEST` with the invalid fields */
export function parse<Value>(schema: z.ZodType<Value>, value: unknown): Value {
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }): OptionProblem => ({ field: path.map(String).join(".") || "body", message }),
  );
  const shown = problems.slice(0, 5).map(({ field, message }) => `\`${field}\`: ${message}`);
  throw new RequestError("MALFORMED_REQUEST", `The request is not valid. ${shown.join(". ")}.`, { problems });
}
