import { INHERITED, matcher, OTHER_CREDENTIALS, REFUSED_VARIABLES } from "./inherited-variables.ts";

export interface EnvironmentRequest {
  /** The host's own environment. */
  readonly host: Readonly<Record<string, string | undefined>>;
  /** `true` inherits everything; a list adds names, or prefixes such as `"AWS_*"`, to the default list. */
  readonly inheritEnv?: boolean | readonly string[] | undefined;
  /** Variables implied by other options. They override the host's; `undefined` removes a variable. */
  readonly implied?: Readonly<Record<string, string | undefined>> | undefined;
  /** Applied last; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * Becomes `ANTHROPIC_API_KEY`. The host's own credentials are then left out, because Claude Code would send both,
   * unless `inheritEnv` lists their full names.
   */
  readonly apiKey?: string | undefined;
}

const isInherited = matcher(INHERITED);
const isCredential = matcher(OTHER_CREDENTIALS);
const isRefused = matcher(Object.keys(REFUSED_VARIABLES));

/**
 * Builds the environment of a Claude Code process. It is not inherited as a whole: the model's tools can only see a
 * secret of the host if an option names it.
 */
export function buildEnvironment(request: EnvironmentRequest): Record<string, string> {
  const { inheritEnv = false } = request;
  const named = Array.isArray(inheritEnv) ? inheritEnv : [];
  const isAdded = inheritEnv === true ? () => true : matcher(named);
  const isNamedInFull = matcher(named.filter((pattern) => !pattern.endsWith("*")));
  const isLeftOut = (name: string): boolean =>
    isRefused(name) || (request.apiKey !== undefined && isCredential(name) && !isNamedInFull(name));
  const built: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.host)) {
    if (value !== undefined && (isInherited(name) || isAdded(name)) && !isLeftOut(name)) built[name] = value;
  }
  for (const [name, value] of [...Object.entries(request.implied ?? {}), ...Object.entries(request.env ?? {})]) {
    if (value === undefined) delete built[name];
    else built[name] = value;
  }
  if (request.apiKey !== undefined) built["ANTHROPIC_API_KEY"] = request.apiKey;
  return built;
}
