#!/bin/bash
# Everything that runs inside one machine, in one boot; 0 when all of it passed.
cd /payload
bad=0
./races.sh "${ROUNDS:-5000}" || bad=1
python3 rules.py || bad=1
python3 changes.py || bad=1
python3 folders.py || bad=1
python3 threat.py || bad=1
# Last: it detaches one program after the other, and whoever came next would have to load them anew.
./arbiter-exercise unload
python3 hooks.py || bad=1
exit $bad
