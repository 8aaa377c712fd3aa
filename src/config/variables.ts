import { configSchema, type JsonSchema } from './json-schema.ts';
import { closest } from './spelling.ts';

const PREFIX = 'LAYOVER_';
/** What Kubernetes and Docker set beside a service or a container called layover. */
const FOREIGN = /^LAYOVER_(?:SERVICE_|PORT(?:_|$)|NAME$|ENV_)/;

/** A key outside `upstreams`, and the environment variable that sets it. */
export interface Variable {
  readonly name: string;
  readonly path: readonly string[];
  readonly schema: JsonSchema;
}

/** Every variable there is, in the order of the keys; none when `env` sets nothing of ours. */
export function variablesOf(env: NodeJS.ProcessEnv): readonly Variable[] {
  return ownNames(env).length === 0 ? [] : variablesBelow(configSchema(), []);
}

/** `LAYOVER_LOG_ACCESS_FILE` for `log.access.file`; the humps of a key become words as well. */
function variableName(path: readonly string[]): string {
  return PREFIX + path.map((key) => key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()).join('_');
}

/** The variables that begin as ours do and set nothing, each with the one that was probably meant. */
export function unknownVariables(env: NodeJS.ProcessEnv): readonly { name: string; meant: string | undefined }[] {
  const known = variablesOf(env).map(({ name }) => name);
  return ownNames(env)
    .filter((name) => !known.includes(name))
    .map((name) => ({ name, meant: closest(name, known) }));
}

function ownNames(env: NodeJS.ProcessEnv): readonly string[] {
  return Object.keys(env).filter((name) => name.startsWith(PREFIX) && !FOREIGN.test(name));
}

function variablesBelow(schema: JsonSchema, path: readonly string[]): Variable[] {
  if (schema.properties === undefined) return [{ name: variableName(path), path, schema }];
  return Object.entries(schema.properties).flatMap(([key, inner]) =>
    typeof inner === 'boolean' || (path.length === 0 && key === 'upstreams')
      ? []
      : variablesBelow(inner, [...path, key]),
  );
}
