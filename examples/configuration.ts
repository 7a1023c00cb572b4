import {
  type ConfigChange,
  formatInspection,
  type Supervisor,
  type SupervisorOptions,
  startFromConfig,
} from "castellan";

// #region start
export async function main(cwd: string = process.cwd(), options: SupervisorOptions = {}): Promise<string> {
  await using supervisor = await startFromConfig({ cwd, options });
  return formatInspection(supervisor.inspect());
}
// #endregion

// #region watch
export async function startWatched(
  cwd: string,
  onChange: (change: ConfigChange) => void,
  options: SupervisorOptions = {},
): Promise<Supervisor> {
  return await startFromConfig({ cwd, watch: true, onChange, options });
}
// #endregion
