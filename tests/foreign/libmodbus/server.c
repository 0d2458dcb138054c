/* A Modbus/TCP server on libmodbus. It prints its port, sets a register for each line "ADDRESS VALUE", answers each
 * line "ADDRESS" with its value, and ends with its stdin. It serves one client at a time: the newest one. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REGISTERS = 400 };

/* Return 0 at the end of stdin. */
static int obey(modbus_mapping_t *mapping)
{
    char line[64];
    int address, value, numbers;

    if (fgets(line, sizeof line, stdin) == NULL)
        return 0;
    numbers = sscanf(line, "%d %d", &address, &value);
    if (numbers < 1 || address < 0 || address >= REGISTERS)
        return 0;
    if (numbers == 2)
        mapping->tab_registers[address] = (uint16_t)value;
    else
        printf("%d\n", mapping->tab_registers[address]);
    return 1;
}

int main(void)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *mapping = modbus_mapping_new(0, 0, REGISTERS, 0);
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    struct sockaddr_in bound;
    socklen_t length = sizeof bound;
    struct pollfd wanted[3];
    int listener, client = -1;

    setvbuf(stdin, NULL, _IONBF, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (context == NULL || mapping == NULL || (listener = modbus_tcp_listen(context, 4)) < 0 ||
        getsockname(listener, (struct sockaddr *)&bound, &length) != 0) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    printf("%d\n", ntohs(bound.sin_port));
    for (;;) {
        wanted[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        wanted[1] = (struct pollfd){.fd = listener, .events = POLLIN};
        wanted[2] = (struct pollfd){.fd = client, .events = POLLIN};
        if (poll(wanted, 3, -1) < 0)
            return 1;
        if (wanted[0].revents && !obey(mapping))
            break;
        if (wanted[1].revents) {
            if (client >= 0)
                close(client);
            client = modbus_tcp_accept(context, &listener);
        } else if (wanted[2].revents) {
            int size = modbus_receive(context, query);
            if (size < 0) {
                close(client);
                client = -1;
            } else if (size > 0) {
                modbus_reply(context, query, size, mapping);
            }
        }
    }
    modbus_mapping_free(mapping);
    modbus_free(context);
    return 0;
}
