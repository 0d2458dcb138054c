"""Read Modbus devices in planned blocks, over TCP, TLS or a serial bus."""
