import { describe, expect, it } from 'vitest';
import { Uart16550 } from '../../src/devices/uart-16550.ts';
import { deviceContract } from './device-contract.ts';

function port() {
  const sent: number[] = [];
  const lines: boolean[] = [];
  return {
    uart: new Uart16550(
      (byte) => sent.push(byte),
      (asserted) => lines.push(asserted),
    ),
    sent,
    lines,
  };
}

describe('the serial port', () => {
  it('sends what is written, unless it is the divisor', () => {
    const { uart, sent } = port();
    uart.write(0, 65);
    uart.write(3, 0x83);
    uart.write(0, 12);
    uart.write(1, 1);
    expect([uart.read(0), uart.read(1)]).toEqual([12, 1]);
    uart.write(3, 3);
    uart.write(0, 66);
    expect(sent).toEqual([65, 66]);
  });

  it('looks like a 16550A to a driver', () => {
    const { uart } = port();
    uart.write(2, 1);
    expect(uart.read(2)).toBe(0xc1);
    uart.write(7, 0x5a);
    expect(uart.read(7)).toBe(0x5a);
    uart.write(1, 0xff);
    expect(uart.read(1)).toBe(0x0f);
    uart.write(4, 0x1a); // loopback, OUT2, RTS
    expect(uart.read(6) & 0xf0).toBe(0x90);
  });

  it('holds its interrupt up while data wait', () => {
    const { uart, lines } = port();
    uart.write(2, 1);
    uart.write(1, 1);
    uart.receive(1);
    uart.receive(2);
    expect(uart.read(2)).toBe(0xc4);
    expect(uart.read(5) & 1).toBe(1);
    expect(uart.read(0)).toBe(1);
    expect(lines).toEqual([true]);
    expect(uart.read(0)).toBe(2);
    expect(lines).toEqual([true, false]);
    expect(uart.read(2)).toBe(0xc1);
  });

  it('interrupts when its empty transmitter is enabled, and after every byte', () => {
    const { uart, lines } = port();
    uart.write(1, 2);
    expect(uart.read(2)).toBe(2);
    expect(uart.read(2)).toBe(1);
    expect(lines).toEqual([true, false]);
    uart.write(0, 65);
    expect(lines).toEqual([true, false, true]);
    uart.write(1, 0);
    expect(lines).toEqual([true, false, true, false]);
    uart.write(1, 2);
    expect(uart.read(2)).toBe(2);
  });

  it('names received data before an empty transmitter, and reading the one does not take the other', () => {
    const { uart } = port();
    uart.write(1, 3);
    uart.receive(7);
    expect(uart.read(2)).toBe(4);
    uart.read(0);
    expect(uart.read(2)).toBe(2);
  });

  it('keeps bytes waiting on the line when it clears its receiver', () => {
    const { uart } = port();
    uart.write(2, 1);
    for (let n = 0; n < 18; n++) uart.receive(n);
    uart.write(2, 3);
    expect([uart.read(0), uart.read(0), uart.read(5) & 1]).toEqual([16, 17, 0]);
  });

  it('hears itself in loopback', () => {
    const { uart, sent } = port();
    uart.write(4, 0x10);
    uart.write(0, 99);
    expect([uart.read(0), sent]).toEqual([99, []]);
  });
});

describe('a saved serial port', () => {
  deviceContract(
    () => port().uart,
    (uart) => {
      uart.write(1, 3);
      uart.receive(7);
      uart.write(7, 9);
      uart.write(4, 0x13);
    },
    (uart) => [0, 1, 2, 3, 4, 5, 6, 7].map((register) => uart.read(register)),
  );
});
