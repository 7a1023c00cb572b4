import type { DescribeSession } from "../../wire/session.ts";

/** A title and labels, as people type them. Rows without a name do not count; of several with one name, the last does. */
export interface TypedDescription {
  readonly title: string;
  readonly labels: readonly (readonly [name: string, value: string])[];
}

/** Returns what changes a session's description into what was typed. A field that stays is left out, so that nobody's change is undone. */
export function descriptionChanges(
  before: { readonly title?: string | undefined; readonly labels?: Readonly<Record<string, string>> | undefined },
  { title, labels }: TypedDescription,
): DescribeSession {
  const old = before.labels ?? {};
  const typed = new Map(
    labels.map(([name, value]) => [name.trim(), value.trim()]).filter(([name]) => name !== "") as [string, string][],
  );
  const changed = [...typed].filter(([name, value]) => !Object.hasOwn(old, name) || old[name] !== value);
  const gone = Object.keys(old).filter((name) => !typed.has(name));
  const given = title.trim();
  return {
    ...(given !== (before.title ?? "") && { title: given === "" ? null : given }),
    ...(changed.length + gone.length > 0 && {
      labels: Object.fromEntries([...changed, ...gone.map((name) => [name, null] as const)]),
    }),
  };
}
