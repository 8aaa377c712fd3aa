import * as z from 'zod';
import { DEFAULTS, isTree, UPSTREAM_DEFAULTS, valueAt } from './layers.ts';
import { schema } from './schema.ts';

/** A JSON Schema (draft 2020-12) of a map, a list or a scalar of the file. */
export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Stands for the keys of an open map. */
const ANY = '*';

/** What may be written in a file. A key with a default may be left out. */
export function configSchema(): JsonSchema {
  const whole = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema: part }) => {
      // Of zod it says that the program does not change a list, of JSON Schema that nobody may write one.
      delete part.readOnly;
    },
  });
  return withDefaults(whole, { ...DEFAULTS, upstreams: { [ANY]: UPSTREAM_DEFAULTS } });
}

function withDefaults(part: JsonSchema, defaults: unknown): JsonSchema {
  if (part.anyOf !== undefined && isTree(defaults)) {
    return { ...part, anyOf: part.anyOf.map((form) => withDefaults(form, defaults)) };
  }
  if (part.type !== 'object') return defaults === undefined || isTree(defaults) ? part : { ...part, default: defaults };
  const { properties = {}, additionalProperties, required = [], propertyNames: _, ...rest } = part;
  const needed = required.filter((key) => !isTree(defaults) || !Object.hasOwn(defaults, key));
  const inner = Object.entries(properties).map(([key, value]) => [key, schemaBelow(value, valueAt(defaults, [key]))]);
  return {
    ...rest,
    // A map that needs no key may be left empty, which YAML reads as null.
    type: needed.length === 0 ? ['object', 'null'] : 'object',
    ...(inner.length > 0 && { properties: Object.fromEntries(inner) }),
    ...(needed.length > 0 && { required: needed }),
    additionalProperties: schemaBelow(additionalProperties ?? true, valueAt(defaults, [ANY])),
  };
}

function schemaBelow(part: JsonSchema | boolean, defaults: unknown): JsonSchema | boolean {
  return typeof part === 'boolean' ? part : withDefaults(part, defaults);
}
