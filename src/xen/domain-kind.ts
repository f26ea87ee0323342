/** What pv/ and hvm/ implement. The types stand beside the Hypervisor that they name. */

export type { DomainKind, GrantMappingRequest } from './hypervisor.ts';
