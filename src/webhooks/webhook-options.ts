import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { z } from "zod";
import type { Duration } from "../duration.ts";
import type { OptionProblem } from "../errors.ts";
import type { SessionName } from "../names.ts";
import { type Labels, labelsSchema } from "../session/options/labels.ts";
import { durationSchema, invalidOptions, nameSchema, validate } from "../session/options/validation.ts";
import { isLoopback, isPublic } from "./network-address.ts";
import { keyOf } from "./signature.ts";
import { WEBHOOK_TYPES, type WebhookType } from "./webhook-type.ts";

/** An endpoint that receives a signed request for each event of the sessions, as of Standard Webhooks. */
export interface WebhookOptions {
  /**
   * Where to send the events. `https:` is required, except for `localhost` and loopback addresses. A name must not resolve to a private,
   * link-local or loopback address. The URL must not contain a user or a password.
   */
  url: string;
  /**
   * What signs the requests: `whsec_` and 24 to 64 random bytes in base64. Of several secrets each signs, so that a receiver can
   * replace one by another.
   */
  secret: string | readonly string[];
  /** Identifies the endpoint in lists, and in the journal. Default: derived from the URL. */
  id?: string;
  /** Which events to send. Default: all. */
  types?: readonly WebhookType[];
  /** Sends only the events of sessions whose names begin with these parts. */
  prefix?: SessionName;
  /** Sends only the events of sessions that have all of these labels when the event is sent. */
  labels?: Labels;
  /** What a request contains besides ids, names, states, times and error codes. `result`: the answer of a completed turn. */
  include?: readonly "result"[];
  /** How long an answer may take. Default 15 seconds. */
  timeout?: Duration;
  /** How long to retry an event before it is dropped, which a warning tells. Default 3 days. */
  maxAge?: Duration;
  /** Whether the URL may be `http:`. Default `false`. */
  allowHttp?: boolean;
  /** Whether the name may resolve to a private, link-local or loopback address. Default `false`. */
  allowPrivateNetwork?: boolean;
}

/** The validated options of an endpoint. */
export interface WebhookSettings {
  readonly id: string;
  readonly url: URL;
  readonly keys: readonly Uint8Array[];
  readonly types: ReadonlySet<WebhookType>;
  readonly prefix: SessionName | undefined;
  readonly labels: Labels | undefined;
  readonly includesResult: boolean;
  readonly timeoutMs: number;
  readonly maxAgeMs: number;
  readonly allowPrivateNetwork: boolean;
}

const TIMEOUT_MS = 15_000;
const MAX_AGE_MS = 3 * 24 * 3_600_000;

const secretSchema: z.ZodType<Uint8Array> = z.string().transform((text, context) => {
  const key = keyOf(text);
  if (key !== undefined) return key;
  const message = "expected `whsec_` and 24 to 64 bytes in base64";
  context.addIssue({ code: "custom", message, input: text });
  return z.NEVER;
});

const urlSchema: z.ZodType<URL> = z.string().transform((text, context) => {
  const url = URL.parse(text);
  const message =
    url === null || !["http:", "https:"].includes(url.protocol)
      ? "expected a URL of HTTPS"
      : url.username !== "" || url.password !== ""
        ? "a URL with a user or a password"
        : undefined;
  if (url !== null && message === undefined) return url;
  context.addIssue({ code: "custom", message: message ?? "", input: text });
  return z.NEVER;
});

const schema = z
  .strictObject({
    url: urlSchema,
    secret: z.union([secretSchema.transform((key) => [key]), z.array(secretSchema).min(1).max(8)]),
    id: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected up to 64 letters, digits, `_`, `-` and `.`")
      .optional(),
    types: z.array(z.enum(WEBHOOK_TYPES)).min(1).optional(),
    prefix: nameSchema.optional(),
    labels: labelsSchema.optional(),
    include: z.array(z.enum(["result"])).optional(),
    timeout: durationSchema.default(TIMEOUT_MS),
    maxAge: durationSchema.default(MAX_AGE_MS),
    allowHttp: z.boolean().default(false),
    allowPrivateNetwork: z.boolean().default(false),
  })
  .superRefine(({ url, allowHttp, allowPrivateNetwork, timeout }, context) => {
    const problem = urlProblem(url, allowHttp, allowPrivateNetwork);
    if (problem !== undefined)
      context.addIssue({ code: "custom", path: ["url"], message: problem, input: url.protocol });
    if (!(timeout > 0 && timeout <= 300_000)) {
      context.addIssue({ code: "custom", path: ["timeout"], message: "expected up to 5 minutes", input: timeout });
    }
  });

/** Returns why requests may not go to this URL, as far as it tells. */
function urlProblem(url: URL, allowHttp: boolean, allowPrivateNetwork: boolean): string | undefined {
  const host = hostOf(url);
  if (url.protocol === "http:" && !allowHttp && !isLoopback(host)) {
    return "`http:` shows everybody on the way what is sent; use `https:`, or set `allowHttp`";
  }
  if (isIP(host) !== 0 && !isPublic(host) && !isLoopback(host) && !allowPrivateNetwork) {
    return "the address is private; set `allowPrivateNetwork` to allow it";
  }
  return undefined;
}

/** Returns the host of a URL, of an IPv6 address without its brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Validates the endpoints of a supervisor. @throws CastellanError `INVALID_OPTIONS` */
export function webhookSettings(webhooks: readonly WebhookOptions[]): readonly WebhookSettings[] {
  const list = validate(z.array(z.unknown()).max(32), webhooks, "supervisor", "webhooks");
  const settings = list.map((options, index) => {
    const {
      url,
      secret,
      id,
      types,
      include,
      timeout,
      maxAge,
      allowHttp: _,
      ...rest
    } = validate(schema, options, "supervisor", `webhooks[${index}]`);
    return {
      ...rest,
      url,
      id: id ?? createHash("sha256").update(url.href).digest("hex").slice(0, 12),
      keys: secret,
      types: new Set(types ?? WEBHOOK_TYPES),
      includesResult: include?.includes("result") ?? false,
      timeoutMs: timeout,
      maxAgeMs: maxAge,
      prefix: rest.prefix,
      labels: rest.labels,
    };
  });
  const problems = settings.flatMap(({ id }, index): OptionProblem[] =>
    settings.findIndex((other) => other.id === id) === index
      ? []
      : [{ field: `webhooks[${index}].id`, message: "another webhook has the same id; give each one its own `id`" }],
  );
  if (problems.length > 0) throw invalidOptions("supervisor", problems);
  return settings;
}
