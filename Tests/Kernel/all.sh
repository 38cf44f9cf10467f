#!/bin/bash
# Everything that runs inside one machine, in one boot; 0 when all of it passed.
cd /payload
bad=0
python3 hooks.py || bad=1
./arbiter-exercise unload
./races.sh "${ROUNDS:-5000}" || bad=1
./arbiter-exercise unload
python3 rules.py || bad=1
python3 changes.py || bad=1
python3 threat.py || bad=1
exit $bad
