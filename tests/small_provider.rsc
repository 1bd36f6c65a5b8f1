# 2026-11-01 by RouterOS 7.18.2
/ip pool
add name=clientes ranges=100.64.0.2-100.64.15.254
add name=bloqueados ranges=10.99.0.2-10.99.0.254
/ppp profile
set [ find name=default ] local-address=100.64.0.1 dns-server=8.8.8.8,1.1.1.1
add name=10M local-address=100.64.0.1 remote-address=clientes rate-limit=5M/10M dns-server=192.0.2.53
add name="Fibra 200M" local-address=100.64.0.1 remote-address=clientes rate-limit="100M/200M 150M/300M 80M/160M 10/10 8"
add name=script-noc local-address=100.64.0.1 remote-address=clientes rate-limit=20M on-up=":log info \$user"
add name=sem-controle local-address=100.64.0.1 remote-address=clientes
add name=bloqueado local-address=100.64.0.1 remote-address=bloqueados rate-limit=64k/64k address-list=bloqueados
add name=ruim rate-limit=10X/20Y
/ppp secret
add name=joao password=123456 profile=10M service=pppoe comment="Jo\C3\A3o da Silva - CPF 529.982.247-25"
add name=maria password=yes profile="Fibra 200M" service=pppoe comment="Maria Concei\E7\E3o" caller-id=AA:BB:CC:00:11:22
add name=padaria password="p\E3o" profile=10M service=pppoe comment="senha com octetos"
add name=mercado password=mercado1 profile=sem-controle service=pppoe remote-address=203.0.113.10 routes="198.51.100.0/28 203.0.113.10 1" comment="Mercado Uni\C3\A3o"
add name=escola password=escola1 profile=sem-controle service=any comment="Escola Municipal"
add name=devedor password=dev1 profile=bloqueado service=pppoe comment="Devedor"
add name=ausente password=aus1 profile=10M service=pppoe disabled=yes comment="Mudou-se"
add name=noc password=n0c profile=script-noc service=pppoe comment="NOC"
add name=vpn-tecnico password=t3c profile=default-encryption service=l2tp comment="VPN do t\C3\A9cnico"
add name=semvel password=sv1 profile=sem-controle service=pppoe
add name=quebrado password=q1 profile=ruim service=pppoe
/queue simple
add name="Mercado" target=203.0.113.10/32 max-limit=30M/60M
add name=escola max-limit=15M/15M target=100.64.9.9/32
/interface pppoe-server server
add service-name=internet interface=ether2 default-profile=10M one-session-per-host=yes disabled=no max-mtu=1480 max-mru=1480
/radius
add service=ppp address=192.0.2.10 secret=velho
/ip firewall address-list
add list=bloqueados address=203.0.113.99
