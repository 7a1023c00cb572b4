import type { Approval, CastellanClient } from "../../client/index.ts";
import { CliError } from "../terminal/cli-error.ts";

/**
 * Returns the pending approval with this id, or the only one whose id begins so. Asks the nodes of the cluster if the server's own sessions
 * have none.
 *
 * @throws CliError `NOT_FOUND`, `AMBIGUOUS`
 */
export async function findApproval(client: CastellanClient, id: string): Promise<Approval> {
  const own = matching(await client.approvals(), id);
  const found = own.length > 0 ? own : matching(await client.approvals({ global: true }), id);
  const [only, other] = found;
  if (only === undefined)
    throw new CliError("NOT_FOUND", `No permission request ${id} waits. It may have been answered.`);
  if (other !== undefined)
    throw new CliError("AMBIGUOUS", `Several permission requests begin with ${id}. Give more of the id.`);
  return only;
}

function matching(approvals: readonly Approval[], id: string): Approval[] {
  const exact = approvals.filter((approval) => approval.id === id);
  return exact.length > 0 ? exact : approvals.filter((approval) => approval.id.startsWith(id));
}
