import forge from 'node-forge';

const { asn1 } = forge;

export type Der = forge.asn1.Asn1;

export function sequence(...members: Der[]): Der {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, members);
}

export function objectIdentifier(oid: string): Der {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(oid).getBytes());
}

export function octetString(content: Buffer): Der {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OCTETSTRING, false, content.toString('latin1'));
}

/** A BIT STRING of whole bytes. */
export function bitString(content: Buffer): Der {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.BITSTRING, false, `\0${content.toString('latin1')}`);
}

/** A context-specific field `[tag]`: members make it constructed, bytes primitive. */
export function tagged(tag: number, content: Der[] | Buffer): Der {
  const value = Array.isArray(content) ? content : content.toString('latin1');
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag as number as forge.asn1.Type, Array.isArray(content), value);
}

export function isTagged(node: Der, tag: number): boolean {
  return node.tagClass === asn1.Class.CONTEXT_SPECIFIC && (node.type as number) === tag;
}

export function encode(node: Der): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1');
}

/** Only for what we made ourselves, or whose signature by our own key was checked before. */
export function decode(bytes: Buffer): Der {
  return asn1.fromDer(bytes.toString('latin1'));
}

export function members(node: Der): Der[] {
  if (!Array.isArray(node.value)) throw new Error('malformed certificate: a structure was expected');
  return node.value;
}

export function member(node: Der, index: number): Der {
  const found = members(node)[index];
  if (found === undefined) throw new Error('malformed certificate: a field is missing');
  return found;
}

export function content(node: Der): Buffer {
  if (typeof node.value !== 'string') throw new Error('malformed certificate: a value was expected');
  return Buffer.from(node.value, 'latin1');
}

export function isObjectIdentifier(node: Der, oid: string): boolean {
  return content(node).toString('latin1') === asn1.oidToDer(oid).getBytes();
}
