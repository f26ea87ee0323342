/**
 * NBD over TCP or a Unix socket: each connection is an NbdSession. TCP listens on loopback unless told otherwise,
 * because the protocol as spoken here has neither passwords nor encryption.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { BackendError } from '../../base/errors.ts';
import { type NbdExport, NbdSession, type NbdSessionOptions } from '../nbd/session.ts';

export type NbdAddress = { host: string; port: number } | { path: string };

export interface NbdServer {
  /** What the server listens on; the port is the real one when 0 was asked for. */
  readonly address: NbdAddress;
  readonly connections: number;
  /** Stops listening and hangs up. The exports are the caller's to flush and close. */
  close(): Promise<void>;
}

/** Starts to listen. @throws {BackendError} `LISTEN` when the address cannot be had. */
export async function serveNbd(exports: readonly NbdExport[], address: NbdAddress, options: NbdSessionOptions = {}): Promise<NbdServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    attach(socket, exports, options);
  });
  await listen(server, address);
  const bound = server.address();
  return {
    address: bound !== null && typeof bound === 'object' ? { host: bound.address, port: bound.port } : address,
    get connections() {
      return sockets.size;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function attach(socket: Socket, exports: readonly NbdExport[], options: NbdSessionOptions): void {
  const session = new NbdSession(
    exports,
    {
      send: (pieces): Promise<void> | void => {
        if (socket.destroyed) return undefined;
        socket.cork();
        for (const piece of pieces) socket.write(piece);
        process.nextTick(() => socket.uncork());
        return socket.writableNeedDrain ? new Promise<void>((resolve) => onceWritable(socket, resolve)) : undefined;
      },
      close: () => {
        socket.end();
      },
    },
    options,
  );
  socket.on('data', (bytes) => {
    session.receive(typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes);
    if (session.isBusy) {
      socket.pause();
      session.onIdle(() => socket.resume());
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => session.end());
  session.start();
}

function onceWritable(socket: Socket, resolve: () => void): void {
  const done = (): void => {
    socket.off('drain', done);
    socket.off('close', done);
    resolve();
  };
  socket.on('drain', done);
  socket.on('close', done);
}

function listen(server: Server, address: NbdAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
      reject(new BackendError('LISTEN', `cannot listen on ${where} (${error.code ?? 'error'})`, { cause: error }));
    });
    server.listen(address, () => resolve());
  });
}
