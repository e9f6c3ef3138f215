# /etc/profile sets PATH anew in login shells.
case ":$PATH:" in
  *:/opt/apportion/bin:*) ;;
  *) PATH="/opt/apportion/bin:$PATH" ;;
esac
export PATH
